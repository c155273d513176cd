//! `import`.
use super::advice;
use super::bulk::most_severe;
use super::console::{Console, Format};
use super::environment::toolhive_folders;
use super::escape;
use super::failure::{Outcome, ended_having};
use clap::{Args, Subcommand};
use wharf::commands::{self, Context, Import as Report, ImportResult};

const EXAMPLES: &str = "Examples:
  wharf import toolhive --dry-run         what would be copied, from which engine, and what not
  wharf import toolhive
  wharf list --all                        what there is now
  thv stop time && wharf start time       from ToolHive's proxy to wharf's, on the same port
  wharf import toolhive --format json";

/// Copy workloads of another product
#[derive(Subcommand)]
pub(super) enum Import {
    Toolhive(ToolHive),
}

/// Copy the workloads of ToolHive
///
/// Reads ToolHive's run configs, status files and groups ($XDG_STATE_HOME/toolhive, $XDG_DATA_HOME/toolhive), and never
/// writes there. A workload is copied where exactly one engine has its container, running or stopped, and every other
/// that may have been used here answered that it has none. The copy is stopped, and starts on that engine with
/// 'wharf start NAME'. ToolHive's container and proxy stay ToolHive's: the report says what stays and how it is ended
/// there; the proxy must have left the port before the copy is started ('thv stop NAME'). What was written inside the
/// container is not copied; volumes are the same ones.
///
/// Names that wharf does not allow are changed, and said. Secrets stay references: their values are not read. Fields
/// that wharf does not implement are kept in its RunConfig, and named. What was imported before is skipped.
///
/// The exit code is 0 unless the writing of a record failed; a file that makes no sense, a workload without a proven
/// owner and one that is skipped are results.
///
/// JSON: an array of source, result (imported, would_import, skipped, ambiguous, owner_unknown, left_alone, malformed,
/// failed), name, reason, runtime_name, runtime_instance, object, state, would_not_start, would_start_weaker, changed, stays, not_implemented (arrays of
/// text), advice, error.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ToolHive {
    /// Say what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Import {
    /// How its errors are printed.
    pub(super) fn format(&self) -> Format {
        let Self::Toolhive(command) = self;
        command.format
    }

    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let Self::Toolhive(command) = self;
        command.execute(context, console).await
    }
}

impl ToolHive {
    async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let reports = commands::import_toolhive(context, &toolhive_folders(), self.dry_run).await?;
        let mut printed = Ok(());
        match self.format {
            Format::Json => printed = console.json(&reports),
            Format::Text if reports.is_empty() => console.note("ToolHive has no workloads here"),
            Format::Text => {
                for report in &reports {
                    if let Some(error) = &report.error {
                        let error = error.clone().while_doing(format!("'{}'", report.source));
                        console.error(&error, self.format);
                    } else {
                        for line in lines(report) {
                            printed = printed.and_then(|()| console.line(&escape::line(&line)));
                        }
                    }
                }
            }
        }
        let code = most_severe(reports.iter().filter_map(|report| report.error.as_ref()));
        ended_having(code, printed, || {
            escape::line(&reports.iter().flat_map(lines).collect::<Vec<_>>().join("; ")).into_owned()
        })
    }
}

fn lines(report: &Report) -> Vec<String> {
    let Report { source, name, result, reason, .. } = report;
    let mut first = format!("{source}: {}", result.as_str());
    if !name.is_empty() && name != source {
        first.push_str(&format!(" as {name}"));
    }
    if matches!(result, ImportResult::Imported | ImportResult::WouldImport)
        && let Some(state) = report.state
    {
        let state = format!("{state:?}").to_lowercase();
        first.push_str(&format!(
            " from '{}' at {}: {}, {state}",
            report.runtime_name, report.runtime_instance, report.object
        ));
    }
    if !reason.is_empty() {
        first.push_str(&format!(": {reason}"));
    }
    let mut lines = vec![first];
    lines.extend(report.changed.iter().chain(&report.stays).map(|text| format!("  {text}")));
    if !report.would_not_start.is_empty() {
        lines.push(format!("  it would not start: {}", report.would_not_start));
        if report.would_start_weaker && !report.name.is_empty() {
            lines.push(format!("  with what can be enforced: wharf start --allow-weaker {}", report.name));
        }
    }
    lines.extend(report.advice.iter().filter_map(advice::text).map(|text| format!("  {text}")));
    if !report.not_implemented.is_empty() {
        lines.push(format!("  kept, and without effect in wharf: {}", report.not_implemented.join(", ")));
    }
    lines
}
