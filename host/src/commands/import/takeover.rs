//! Before a workload is started whose container another product made: what would fail is told before anything is
//! changed. That container may be of use to somebody else, and cannot be had back.
use crate::commands::context::Manager;
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{RunConfig, StatusRecord, Transport};
use wharf_runtimes::RuntimeClient;
use wharf_sdk::WorkloadState;
use wharf_supervisor::check_port;
use wharf_supervisor::specification;

impl Manager {
    /// # Errors
    /// Where the proxy's port is taken, or the container would be removed and no other could be made in its place.
    pub(crate) async fn check_takeover(
        &self,
        run: &RunConfig,
        record: Option<&StatusRecord>,
        client: &RuntimeClient,
    ) -> Result<()> {
        let called = run.imported.as_ref().map_or(run.name.as_str(), |imported| imported.name.as_str());
        check_port(run).await.map_err(|error| {
            if error.kind != ErrorKind::Conflict {
                return error;
            }
            Error { hints: Vec::new(), ..error }
                .hint(format!(
                    "the proxy of the product that it was imported from may hold it: thv stop {called}, then wharf start {}",
                    run.name
                ))
                .hint("nothing was changed")
        })?;
        if !self.goes_on(run, record, client).await? {
            let stamp = client.stamp();
            let spec = specification(self.config(), run, stamp, &self.host_id()?, run.target_port.max(1))?;
            let accepted = client.validate(&spec).await;
            accepted.map_err(|error| {
                let doing = format!("'{}' cannot be made anew, so its container stays as it is", run.name);
                Error::from(error).while_doing(doing)
            })?;
        }
        Ok(())
    }

    /// Whether its container will be served as it is.
    async fn goes_on(
        &self,
        run: &RunConfig,
        record: Option<&StatusRecord>,
        client: &RuntimeClient,
    ) -> Result<bool> {
        if run.transport == Transport::Stdio {
            return Ok(false);
        }
        let Some(handle) = self.handle(run, record, client).await? else { return Ok(false) };
        let seen = client.inspect(&handle).await;
        Ok(seen.is_ok_and(|seen| seen.state == WorkloadState::Running && seen.address.is_some()))
    }
}
