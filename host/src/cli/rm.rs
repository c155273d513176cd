//! `rm`.
use super::bulk::{Done, Report, each};
use super::console::{Console, Format};
use super::failure::Outcome;
use super::select::Selection;
use super::stop_timeout::StopTimeout;
use clap::Args;
use wharf::commands::{self, Context, OrphanId};
use wharf_model::WorkloadName;

const EXAMPLES: &str = "Examples:
  wharf rm time everything
  wharf rm --all
  wharf rm --forget time        its runtime is gone for good: drop the record, and say what stays
  wharf rm --orphan process/0123456789abcdef0123456789abcdef";

/// Remove workloads; those that run are stopped first. Their logs stay
///
/// JSON: an array of name, result (removed, forgotten, failed), left_behind, advice, set_aside, error.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Rm {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    stop_timeout: StopTimeout,
    /// Drop the records without asking the runtime: end the supervisor, and say what is left behind. Also drops a
    /// status record alone; corrupt records are kept under another name
    #[arg(long)]
    forget: bool,
    /// Remove a resource that a runtime has and no RunConfig names (see: wharf list --all); can be given several times
    #[arg(
        long,
        value_name = "[RUNTIME/]UID",
        group = "Selection",
        conflicts_with_all = ["names", "all", "group", "forget"]
    )]
    orphan: Vec<OrphanId>,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

impl Rm {
    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        if !self.orphan.is_empty() {
            return super::orphan::remove(&self.orphan, context, self.format, console).await;
        }
        let remove = |name: WorkloadName| async move {
            if self.forget {
                let forgotten = commands::forget(context, &name).await?;
                return Ok(Report::of(&name, Done::Forgotten).leaving(forgotten));
            }
            commands::remove(context, &name, self.stop_timeout.of(context, &name)).await?;
            Ok(Report::of(&name, Done::Removed))
        };
        each(&self.selection, context, self.format, console, remove).await
    }
}
