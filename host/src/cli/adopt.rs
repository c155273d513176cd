//! `adopt`.
use super::console::{Console, Format};
use super::escape;
use super::failure::{DONE, Failure, Outcome};
use clap::Args;
use wharf::commands::{self, Adopted, Adoption, Context};
use wharf_model::WorkloadName;

const EXAMPLES: &str = "Examples:
  wharf adopt time                              whose it is, every runtime is asked
  wharf adopt time --runtime process
  wharf adopt time --runtime process --rebind   its engine was reset: the one that answers now is its owner";

/// Give an owner to a workload that has none
///
/// Without --runtime every runtime is asked, and the owner is recorded only if exactly one has something of the
/// workload and no other that may have been used here was silent.
///
/// JSON: an object of name, runtime_name, runtime_instance, runtime_endpoint, previous_instance, previous_endpoint.
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
    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let adoption = match &self.runtime {
            None => Adoption::Proof,
            Some(name) => Adoption::Runtime { name: name.clone(), rebind: self.rebind },
        };
        let adopted = commands::adopt(context, &self.name, &adoption).await?;
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
