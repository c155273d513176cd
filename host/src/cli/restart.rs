//! `restart`.
use super::bulk::{Done, Report, each};
use super::console::{Console, Format};
use super::failure::Outcome;
use super::progress::Steps;
use super::select::Selection;
use super::stop_timeout::StopTimeout;
use clap::Args;
use std::sync::Arc;
use wharf::commands::{self, Context};
use wharf_model::WorkloadName;

const EXAMPLES: &str = "Examples:
  wharf restart time
  wharf restart --group tools --format json";

/// Stop workloads and start them again, each as one operation
///
/// JSON: an array of name, result (restarted, starting, failed), url, error.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Restart {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    stop_timeout: StopTimeout,
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
    pub(super) async fn execute(&self, context: &Context, console: &Arc<Console>) -> Outcome {
        let restart = |name: WorkloadName| async move {
            let mut steps = Steps::new(console, self.quiet, name.as_str());
            let started = commands::restart(
                context,
                &name,
                self.stop_timeout.of(context, &name),
                !self.no_wait,
                &mut steps,
            )
            .await?;
            let result = if self.no_wait { Done::Starting } else { Done::Restarted };
            Ok(Report::of(&name, result).at(started.url))
        };
        each(&self.selection, context, self.format, console, restart).await
    }
}
