//! `man-pages`: what `packaging/install` calls, and nobody else needs.
use super::failure::{DONE, Outcome};
use clap::Args;
use std::path::PathBuf;

/// Write the man page of each command into a folder
#[derive(Args)]
#[command(hide = true)]
pub(super) struct ManPages {
    /// The folder, which is there
    folder: PathBuf,
}

impl ManPages {
    /// `command` is the definition of the whole command line.
    pub(super) fn execute(&self, command: clap::Command) -> Outcome {
        clap_mangen::generate_to(command, &self.folder)?;
        Ok(DONE)
    }
}
