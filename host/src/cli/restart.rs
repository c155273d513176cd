//! `restart`.
use super::console::{Console, Format};
use super::failure::Outcome;
use super::progress::Steps;
use super::select::Selection;
use super::several::{Report, each};
use super::stop::{DEFAULT_TIMEOUT, seconds};
use clap::Args;
use std::{sync::Arc, time::Duration};
use wharf::status::WorkloadName;
use wharf::workload::Manager;

/// Stop workloads and start them again, each as one operation
///
/// JSON: an array of name, result (restarted, starting, failed), url, error.
#[derive(Args)]
pub(super) struct Restart {
    #[command(flatten)]
    selection: Selection,
    /// Seconds that they may take to end by themselves before they are killed
    #[arg(short, long, value_name = "SECONDS", default_value = DEFAULT_TIMEOUT, value_parser = seconds)]
    timeout: Duration,
    /// Do not wait until they are ready
    #[arg(long)]
    no_wait: bool,
    /// Say nothing about progress
    #[arg(short, long)]
    quiet: bool,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

impl Restart {
    pub(super) async fn execute(&self, manager: &Manager, console: &Arc<Console>) -> Outcome {
        let restart = |name: WorkloadName| async move {
            let mut steps = Steps::new(console, self.quiet, name.as_str());
            let started = manager.restart(&name, self.timeout, !self.no_wait, &mut steps).await?;
            let result = if self.no_wait { "starting" } else { "restarted" };
            Ok(Report::of(&name, result).at(started.url))
        };
        each(&self.selection, manager, self.format, console, restart).await
    }
}
