//! Attaches again to a workload that runs on although its stream was lost: an engine that is restarted may leave its
//! containers running, but not their streams.
use crate::deployment::Deployment;
use crate::workload_proxy::WorkloadProxy;
use std::time::Duration;
use wharf_model::{Error, ErrorKind, Result};
use wharf_sdk::WorkloadState;

/// How long a server may take for the second handshake. It is up already.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

impl Deployment {
    /// Attaches to a running workload, and makes the handshake again.
    ///
    /// # Errors
    /// It does not run, cannot be attached, or does not answer: then nothing reaches it any more.
    pub(crate) async fn reattach(&self) -> Result<()> {
        let failed = |why: &str| Error::new(ErrorKind::Runtime, why);
        let (Some(handle), Some(WorkloadProxy::Stdio(proxy))) = (&self.handle, &self.front) else {
            return Err(failed("it has no stream"));
        };
        self.prove_owner().await?;
        if self.client.inspect(handle).await?.state != WorkloadState::Running {
            return Err(failed("it does not run"));
        }
        let stream = self.client.attach(handle).await?;
        let (stdout, stdin) = stream
            .into_sides()
            .map_err(|error| Error::caused(ErrorKind::Runtime, "the workload cannot be attached", &error))?;
        let answered = proxy.connect(stdout, stdin, HANDSHAKE_TIMEOUT).await;
        answered.map(drop).map_err(|error| Error::caused(ErrorKind::Runtime, "it does not answer", &error))
    }
}
