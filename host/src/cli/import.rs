//! `import`.
use super::bulk::most_severe;
use super::console::{Console, Format};
use super::environment::toolhive_folders;
use super::escape;
use super::failure::{Outcome, ended_having};
use clap::{Args, Subcommand};
use wharf::commands::{Import as Report, ImportResult, Manager};

const EXAMPLES: &str = "Examples:
  wharf import toolhive --dry-run         what would be taken over, from which engine, and what not
  wharf import toolhive
  wharf list --all                        what there is now
  thv stop time && wharf start time       from ToolHive's proxy to wharf's, on the same port
  wharf import toolhive --format json";

/// Take over workloads of another product
#[derive(Subcommand)]
pub(super) enum Import {
    Toolhive(ToolHive),
}

/// Take over the workloads of ToolHive
///
/// Reads ToolHive's run configs, status files and groups ($XDG_STATE_HOME/toolhive, $XDG_DATA_HOME/toolhive), and never
/// writes there. A workload is taken over where exactly one engine has its container, running or stopped, and every
/// other that may have been used here answered that it has none. Nothing is started or stopped: what runs is shown
/// without a proxy until 'wharf start NAME'. That goes on with the container of a server with a port, and replaces any
/// other by wharf's own; ToolHive's proxy must have left the port by then ('thv stop NAME').
///
/// Names that wharf does not allow are changed, and said. Secrets stay references: their values are not read. Fields
/// that wharf does not implement are kept in its RunConfig, and named. What was imported before is skipped. ToolHive's
/// own records stay as they are, and know nothing of it: leave what was taken over to wharf from then on.
///
/// The exit code is 0 unless the writing of a record failed; a file that makes no sense, a workload without a proven
/// owner and one that is skipped are results.
///
/// JSON: an array of source, result (imported, would_import, skipped, ambiguous, owner_unknown, left_alone, malformed,
/// failed), name, reason, runtime_name, runtime_instance, object, state, changed, not_implemented (arrays of text),
/// error.
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

    pub(super) async fn execute(&self, manager: &Manager, console: &Console) -> Outcome {
        let Self::Toolhive(command) = self;
        command.execute(manager, console).await
    }
}

impl ToolHive {
    async fn execute(&self, manager: &Manager, console: &Console) -> Outcome {
        let reports = manager.import_toolhive(&toolhive_folders(), self.dry_run).await?;
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
    lines.extend(report.changed.iter().map(|change| format!("  {change}")));
    if !report.not_implemented.is_empty() {
        lines.push(format!("  kept, and without effect in wharf: {}", report.not_implemented.join(", ")));
    }
    lines
}
