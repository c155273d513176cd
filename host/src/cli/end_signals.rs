//! [`EndSignals`]: the signals that ask a process that serves to end. Called by `serve` and `mcp serve`.
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
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

    /// Serves until one of them comes, and then until what is under way has ended; a second one ends that wait.
    ///
    /// # Errors
    /// What serves has failed.
    pub(super) async fn end<F: Future<Output = Result<()>>>(
        mut self,
        serve: impl FnOnce(CancellationToken) -> F,
    ) -> Result<()> {
        let shutdown = CancellationToken::new();
        let serving = serve(shutdown.clone());
        let told_twice = async {
            self.next().await;
            shutdown.cancel();
            self.next().await;
        };
        tokio::select! {
            served = serving => served,
            () = told_twice => Ok(()),
        }
    }

    /// Resolves when the next one comes.
    async fn next(&mut self) {
        let [terminate, interrupt, hang_up] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}
