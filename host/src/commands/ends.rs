//! [`Ends`]: the signals that ask a command to end. While something is being recorded, a command listens to them instead of
//! dying.
//!
//! Called by `run`, with and without `--foreground`. It must not know what the command is doing.
use rustix::process::Signal;
use std::{io, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use wharf_model::{Error, ErrorKind, Result};

/// Long enough for Tokio to deliver a signal that has come.
const SIGNAL_TURN: Duration = Duration::from_millis(1);

/// The signals that ask this process to end. They are taken before anything is recorded: if one killed this process later,
/// a workload would be left on record that nobody wants, and `reconcile` would start it.
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

    /// Whether one has come already. One that is missed here is still returned by [`Ends::next`].
    pub(crate) async fn has_come(&mut self) -> bool {
        // Tokio delivers signals when it polls its descriptors, which it does while all tasks wait.
        tokio::time::timeout(SIGNAL_TURN, self.next()).await.is_ok()
    }
}

/// The error for an action that a signal interrupted.
pub(crate) fn interrupted(what: &str) -> Error {
    Error::new(ErrorKind::Failed, format!("{what} was interrupted by a signal"))
}

/// The error if signals cannot be listened to.
pub(crate) fn deaf(error: &io::Error) -> Error {
    Error::caused(ErrorKind::Failed, "signals cannot be received", error)
}
