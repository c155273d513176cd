//! `export`.
use super::console::Console;
use super::failure::{DONE, Outcome};
use clap::Args;
use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf};
use wharf::commands::{self, Context};
use wharf_model::WorkloadName;
use wharf_model::{Error, ErrorKind};

const EXAMPLES: &str = "Examples:
  wharf export time --output time.json
  wharf export time | wharf run --from-config - --name time-2 --proxy-port 4200";

/// Print a workload's RunConfig, to be given to: wharf run --from-config
///
/// It is JSON. Secrets stay references to secrets; values of --env are in it as they were given.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Export {
    /// The workload's name
    name: WorkloadName,
    /// Write it to this file, which only you can read
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Export {
    pub(super) fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let run = commands::export(context, &self.name)?;
        let Some(path) = &self.output else {
            console.json(&run)?;
            return Ok(DONE);
        };
        let failed = |error: std::io::Error| {
            Error::caused(ErrorKind::Failed, format!("{} cannot be written", path.display()), &error)
        };
        let mut text = serde_json::to_vec_pretty(&run).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(DONE)
    }
}
