//! The signals that ask a command to end, heard instead of dying of them while something is being recorded.
//!
//! Called by `run`, attended or not. It must not know what a command is doing.
use rustix::process::Signal;
use std::{io, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use wharf_model::{Error, ErrorKind, Result};

/// As long as the runtime needs to hear of a signal that has come.
const SIGNAL_TURN: Duration = Duration::from_millis(1);

/// The signals that ask this process to end. Taken before anything is recorded: one that ended this process from then on
/// would leave a workload on record that nobody wants, and that `reconcile` starts.
pub(crate) struct Ends {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Ends {
    pub(crate) fn take() -> Result<Self> {
        let heard = |kind| signal(kind).map_err(|error| deaf(&error));
        Ok(Self { terminate: heard(SignalKind::terminate())?, interrupt: heard(SignalKind::interrupt())? })
    }

    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.interrupt.recv() => Signal::INT,
        }
    }

    /// Whether one has come already. One that this does not see yet is still there for [`Ends::next`].
    pub(crate) async fn has_come(&mut self) -> bool {
        // The runtime tells of signals when it turns to its descriptors, which it does where everybody waits.
        tokio::time::timeout(SIGNAL_TURN, self.next()).await.is_ok()
    }
}

/// A signal has asked this process to end while it did this.
pub(crate) fn interrupted(what: &str) -> Error {
    Error::new(ErrorKind::Failed, format!("{what} was interrupted by a signal"))
}

/// Signals cannot be heard.
pub(crate) fn deaf(error: &io::Error) -> Error {
    Error::caused(ErrorKind::Failed, "signals cannot be received", error)
}
