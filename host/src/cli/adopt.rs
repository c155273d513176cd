//! `adopt`.
use super::console::{Console, Format};
use super::escape;
use super::failure::{DONE, Failure, Outcome};
use super::progress::Steps;
use clap::Args;
use std::sync::Arc;
use wharf::commands::{self, Adopted, Adoption, Context};
use wharf_model::WorkloadName;

const EXAMPLES: &str = "Examples:
  wharf adopt time                              whose it is, every runtime is asked
  wharf adopt time --runtime process
  wharf adopt time --runtime process --rebind   its engine was reset: the one that answers now is its owner";

/// Record to which runtime a workload belongs, where that is not on record
///
/// Without --runtime every runtime is asked, and the owner is recorded only if exactly one has something of the
/// workload and no other that may have been used here was silent.
///
/// With --rebind a workload that runs gets a new supervisor, which works at the new place: its clients' connections are cut,
/// and a server on stdio is started anew.
///
/// JSON: an object of name, runtime_name, runtime_instance, runtime_endpoint, previous_instance, previous_endpoint, restarted.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Adopt {
    /// The workload's name
    name: WorkloadName,
    /// Decide by hand: the instance of this runtime that answers now
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
    /// Move an owner that is on record to the instance that answers now; without it both are shown
    #[arg(long, requires = "runtime")]
    rebind: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

impl Adopt {
    pub(super) async fn execute(&self, context: &Context, console: &Arc<Console>) -> Outcome {
        let adoption = match &self.runtime {
            None => Adoption::Proof,
            Some(name) => Adoption::Runtime { name: name.clone(), rebind: self.rebind },
        };
        let adopted = {
            let mut steps = Steps::new(console, false, self.name.as_str());
            commands::adopt(context, &self.name, &adoption, &mut steps).await?
        };
        let done = escape::line(&text(&adopted)).into_owned();
        let printed = match self.format {
            Format::Json => console.json(&adopted),
            Format::Text => console.line(&done),
        };
        printed.map_err(Failure::untold(done))?;
        Ok(DONE)
    }
}

fn text(adopted: &Adopted) -> String {
    let whose = whose(adopted);
    if adopted.restarted { format!("{whose}; a new supervisor serves it from there") } else { whose }
}

fn whose(adopted: &Adopted) -> String {
    let Adopted { name, runtime_name, runtime_instance, .. } = adopted;
    if adopted.previous_instance.is_empty() {
        return format!("{name}: belongs to the runtime '{runtime_name}' at {runtime_instance}");
    }
    let previous = &adopted.previous_instance;
    if previous == runtime_instance {
        let (from, to) = (&adopted.previous_endpoint, &adopted.runtime_endpoint);
        let what =
            format!("{name}: belongs to the runtime '{runtime_name}' at {runtime_instance}, as before");
        return if from == to { what } else { format!("{what}; reached at {to} instead of {from}") };
    }
    format!("{name}: moved from '{runtime_name}' at {previous} to '{runtime_name}' at {runtime_instance}")
}
