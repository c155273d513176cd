//! [`Ends`]: what asks a command to end. The signals of a command line, which it listens to instead of dying while something
//! is being recorded; or the client that asked for the command, in a process that serves others.
//!
//! Called by the commands that create or start. It must not know what the command is doing.
use nix::libc::c_int;
use std::{fs, future::poll_fn, io, task::Poll, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wharf_model::{Error, ErrorKind, Result};

/// Long enough for Tokio to deliver a signal that has come.
const SIGNAL_TURN: Duration = Duration::from_millis(1);

/// A request to an operation to end before it is done.
pub(crate) enum Ends {
    /// The signals that ask this process to end: from its user, from a service manager, or because its terminal was closed.
    /// They are taken before anything is recorded: if one killed this process later, a workload would be left on record
    /// that nobody wants, and `reconcile` would start it.
    Signals(Vec<Signal>),
    /// A request of the client that asked for the operation. In a process that serves others, signals concern that process
    /// alone.
    Asked(CancellationToken),
    /// The same in a process that may be restarted at any time: what it has begun goes on without it.
    Served(CancellationToken),
}

impl Ends {
    /// Signals that this process was started with ignored (`nohup`, `&` in a script) stay ignored.
    pub(crate) fn take() -> Result<Self> {
        let ignored = ignored();
        let kinds =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()];
        let heard = kinds.into_iter().filter(|kind| !has(ignored, kind.as_raw_value())).map(signal);
        Ok(Self::Signals(heard.collect::<io::Result<_>>().map_err(|error| deaf(&error))?))
    }

    /// Returns when one has come.
    pub(crate) async fn next(&mut self) {
        match self {
            Self::Signals(signals) => {
                poll_fn(|context| {
                    let has_come = signals.iter_mut().any(|one| one.poll_recv(context).is_ready());
                    if has_come { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            Self::Asked(token) | Self::Served(token) => token.cancelled().await,
        }
    }

    /// Whether what was begun goes on when this process ends.
    pub(crate) const fn outlives_command(&self) -> bool {
        matches!(self, Self::Served(_))
    }

    /// Whether a client has asked for the end.
    pub(crate) fn was_asked(&self) -> bool {
        match self {
            Self::Asked(token) | Self::Served(token) => token.is_cancelled(),
            Self::Signals(_) => false,
        }
    }

    /// Whether one has come already. One that is missed here is still returned by [`Ends::next`].
    pub(crate) async fn has_come(&mut self) -> bool {
        // Tokio delivers signals when it polls its descriptors, which it does while all tasks wait.
        tokio::time::timeout(SIGNAL_TURN, self.next()).await.is_ok()
    }

    /// As [`Ends::next`], but a client asks once: if the caller has `heard` it, this waits for ever.
    pub(crate) async fn next_after(&mut self, heard: bool) {
        match self {
            Self::Asked(_) | Self::Served(_) if heard => std::future::pending().await,
            Self::Asked(_) | Self::Served(_) | Self::Signals { .. } => self.next().await,
        }
    }

    /// For a step that undoes what was interrupted: a further signal ends that, too; a client's request was for what is
    /// undone.
    pub(crate) fn for_undoing(&mut self) -> Option<&mut Self> {
        match self {
            Self::Signals(_) => Some(self),
            Self::Asked(_) | Self::Served(_) => None,
        }
    }

    /// The error for an action that this has interrupted.
    pub(crate) fn interrupted(&self, what: &str) -> Error {
        let how = match self {
            Self::Signals(_) => "was interrupted by a signal",
            Self::Asked(_) | Self::Served(_) => "was cancelled",
        };
        Error::new(ErrorKind::Failed, format!("{what} {how}"))
    }
}

/// The set of signals that this process ignores, proc_pid_status(5); the empty set if the file cannot be read.
fn ignored() -> u64 {
    ignored_in(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// Whether a set has a signal.
fn has(set: u64, signal: c_int) -> bool {
    let bit = u32::try_from(signal).ok().and_then(|signal| 1_u64.checked_shl(signal.checked_sub(1)?));
    bit.is_some_and(|bit| set & bit != 0)
}

/// The error if signals cannot be listened to.
pub(crate) fn deaf(error: &io::Error) -> Error {
    Error::caused(ErrorKind::Failed, "signals cannot be received", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_signals_is_read_as_the_kernel_writes_it() {
        let ignored =
            ignored_in("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\nSigCgt:\t0000000000000004\n");
        assert_eq!([1, 2, 3, 13, 15].map(|signal| has(ignored, signal)), [true, true, false, true, false]);
        assert_eq!((ignored_in(""), has(u64::MAX, 0), has(u64::MAX, 65)), (0, false, false));
    }
}
