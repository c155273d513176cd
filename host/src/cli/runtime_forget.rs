//! `runtime forget-verdict`.
use super::console::Console;
use super::failure::{DONE, Outcome};
use clap::Args;
use std::path::PathBuf;
use wharf_model::{Error, ErrorKind};
use wharf_runtimes::Forgotten;
use wharf_supervisor::Config;

const EXAMPLES: &str = "Examples:
  wharf runtime forget-verdict ~/.local/share/wharf/plugins/libwharf_plugin_mine.so
  wharf runtime forget-verdict --all";

/// Forget what came of plugins when they were loaded for the first time
///
/// A plugin that was never seen is loaded in a process of its own first. One that ended that process is not tried again
/// until its file changes, or this is said.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ForgetVerdict {
    /// The library's file
    #[arg(required_unless_present = "all")]
    library: Option<PathBuf>,
    /// Forget it of all of them
    #[arg(long, conflicts_with = "library")]
    all: bool,
}

impl ForgetVerdict {
    pub(super) fn execute(&self, config: &Config, console: &Console) -> Outcome {
        let verdicts = config.verdicts();
        let (forgotten, whose) = match &self.library {
            Some(library) => (verdicts.forget(library), library.display().to_string()),
            None => (verdicts.forget_all(), "any plugin".to_owned()),
        };
        let forgotten = forgotten.map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::Usage,
                _ => ErrorKind::Failed,
            };
            Error::caused(kind, format!("the verdict on {whose} cannot be forgotten"), &error)
        })?;
        match forgotten {
            Forgotten(0) => console.note(&format!("there is no verdict on {whose}")),
            Forgotten(1) => console.note("1 verdict is forgotten"),
            Forgotten(count) => console.note(&format!("{count} verdicts are forgotten")),
        }
        Ok(DONE)
    }
}
