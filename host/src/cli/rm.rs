//! `rm`.
use super::console::{Console, Format};
use super::failure::Outcome;
use super::select::Selection;
use super::several::{Report, each};
use super::stop::{DEFAULT_TIMEOUT, seconds};
use clap::Args;
use std::time::Duration;
use wharf::workload::Manager;

/// Remove workloads; those that run are stopped first. Their logs stay
///
/// JSON: an array of name, result (removed, failed), error.
#[derive(Args)]
pub(super) struct Rm {
    #[command(flatten)]
    selection: Selection,
    /// Seconds that they may take to end by themselves before they are killed
    #[arg(short, long, value_name = "SECONDS", default_value = DEFAULT_TIMEOUT, value_parser = seconds)]
    timeout: Duration,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

impl Rm {
    pub(super) async fn execute(&self, manager: &Manager, console: &Console) -> Outcome {
        let remove = |name| async move {
            manager.remove(&name, self.timeout).await?;
            Ok(Report::of(&name, "removed"))
        };
        each(&self.selection, manager, self.format, console, remove).await
    }
}
