//! `stop`.
use super::bulk::{Done, Report, each};
use super::console::{Console, Format};
use super::failure::Outcome;
use super::select::Selection;
use super::stop_timeout::StopTimeout;
use clap::Args;
use wharf::commands::{self, Context, StopResult};

const EXAMPLES: &str = "Examples:
  wharf stop time
  wharf stop --all --timeout 2.5";

/// Stop workloads
///
/// JSON: an array of name, result (stopped, already_stopped, failed), error.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Stop {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    stop_timeout: StopTimeout,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

impl Stop {
    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let stop = |name| async move {
            let result =
                match commands::stop(context, &name, self.stop_timeout.of(context, &name)).await?.result {
                    StopResult::Stopped => Done::Stopped,
                    StopResult::AlreadyStopped => Done::AlreadyStopped,
                };
            Ok(Report::of(&name, result))
        };
        each(&self.selection, context, self.format, console, stop).await
    }
}
