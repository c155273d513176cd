//! `reconcile`.
use super::advice;
use super::bulk::most_severe;
use super::console::{Console, Format};
use super::escape;
use super::failure::{DONE, Outcome, ended_having};
use clap::Args;
use wharf::commands::{self, Context, Reconciled, Reconciliation};
use wharf_model::{ErrorKind, WorkloadName};

const EXAMPLES: &str = "Examples:
  wharf reconcile
  wharf reconcile time --format json";

/// Bring workloads to what they should be, as far as evidence supports it
///
/// Records what ended, starts what should run, stops what should not, finishes what was interrupted. A workload whose
/// runtime cannot be asked is left as it is, the reason told, and the exit code is 5. One without an owner that runs with its proxy is
/// given the only runtime that shows it, if no other that may have been used here is silent.
///
/// JSON: an array of name, result (in_order, left_alone, owner_unknown, ambiguous, adopted, started, stopped, removed,
/// recorded, failed), reason, unasked, advice, error.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Reconcile {
    /// The workloads' names; all of them where none is given
    #[arg(value_name = "NAME")]
    names: Vec<WorkloadName>,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

impl Reconcile {
    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let reports = commands::reconcile(context, &self.names).await?;
        let mut printed = Ok(());
        match self.format {
            Format::Json => printed = console.json(&reports),
            Format::Text if reports.is_empty() => console.note("there are no workloads"),
            Format::Text => {
                for report in &reports {
                    match &report.error {
                        Some(error) => {
                            let error = error.clone().while_doing(format!("'{}'", report.name));
                            console.error(&error, self.format);
                        }
                        None => printed = printed.and_then(|()| console.line(&escape::line(&text(report)))),
                    }
                }
            }
        }
        let code = most_severe(reports.iter().filter_map(|report| report.error.as_ref()));
        let unasked = reports.iter().any(|report| report.unasked);
        let code = if unasked && code == DONE { ErrorKind::Owner.exit_code() } else { code };
        ended_having(code, printed, || {
            escape::line(&reports.iter().map(text).collect::<Vec<_>>().join("; ")).into_owned()
        })
    }
}

fn text(report: &Reconciled) -> String {
    let word = match report.result {
        Reconciliation::InOrder => "in order",
        Reconciliation::LeftAlone => "left alone",
        Reconciliation::OwnerUnknown => "owner unknown",
        Reconciliation::Ambiguous => "ambiguous",
        Reconciliation::Adopted => "adopted",
        Reconciliation::Started => "started",
        Reconciliation::Stopped => "stopped",
        Reconciliation::Removed => "removed",
        Reconciliation::Recorded => "its end was recorded",
        Reconciliation::Failed => "failed",
    };
    if report.reason.is_empty() {
        format!("{}: {word}", report.name)
    } else {
        format!("{}: {word}: {}", report.name, advice::after(&report.reason, &report.advice))
    }
}
