//! A workload that goes on while the stream to it was lost: an engine that is restarted leaves its containers running,
//! and takes their streams along.
use crate::deployment::Deployment;
use crate::workload_proxy::WorkloadProxy;
use std::time::Duration;
use wharf_model::{Error, ErrorKind, Result};
use wharf_sdk::WorkloadState;

/// How long a server may take to answer the handshake again. It is up already.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

impl Deployment {
    /// Attaches to a workload that runs, and makes the handshake anew.
    ///
    /// # Errors
    /// It does not run, cannot be attached, or does not answer: such a one hears nothing any more.
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
