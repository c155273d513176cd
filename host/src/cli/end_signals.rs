//! [`EndSignals`]: the signals that ask a process that serves to end. Called by `serve` and `mcp serve`.
use tokio::signal::unix::{Signal, SignalKind, signal};
use wharf_model::{Error, ErrorKind, Result};

/// SIGTERM, SIGINT, and SIGHUP: a terminal that goes ends what serves in it as it should, with its last records.
pub(super) struct EndSignals([Signal; 3]);

impl EndSignals {
    /// From now on these signals end nothing by themselves.
    ///
    /// # Errors
    /// They cannot be received.
    pub(super) fn heard() -> Result<Self> {
        let heard = |kind| {
            signal(kind)
                .map_err(|error| Error::caused(ErrorKind::Failed, "signals cannot be received", &error))
        };
        let [terminate, interrupt, hang_up] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(heard);
        Ok(Self([terminate?, interrupt?, hang_up?]))
    }

    /// Resolves when the next one comes.
    pub(super) async fn next(&mut self) {
        let [terminate, interrupt, hang_up] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}
