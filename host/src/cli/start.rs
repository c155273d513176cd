//! `start`.
use super::bulk::{Done, Report, each};
use super::console::{Console, Format};
use super::failure::Outcome;
use super::progress::Steps;
use super::select::Selection;
use clap::Args;
use std::sync::Arc;
use wharf::commands::{self, Context};
use wharf_model::WorkloadName;

const EXAMPLES: &str = "Examples:
  wharf start time everything
  wharf start --group tools";

/// Start workloads that do not run
///
/// JSON: an array of name, result (started, starting, already_running, failed), url, error.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Start {
    #[command(flatten)]
    selection: Selection,
    /// Run them from now on even if not all of their description can be enforced; wharf status tells what is not
    #[arg(long)]
    allow_weaker: bool,
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

impl Start {
    pub(super) async fn execute(&self, context: &Context, console: &Arc<Console>) -> Outcome {
        let start = |name: WorkloadName| async move {
            let mut steps = Steps::new(console, self.quiet, name.as_str());
            if self.allow_weaker {
                commands::allow_weaker(context, &name).await?;
            }
            let started = commands::start(context, &name, !self.no_wait, &mut steps).await?;
            let result = match (started.already_running, self.no_wait) {
                (true, _) => Done::AlreadyRunning,
                (false, true) => Done::Starting,
                (false, false) => Done::Started,
            };
            Ok(Report::of(&name, result).at(started.url))
        };
        each(&self.selection, context, self.format, console, start).await
    }
}
