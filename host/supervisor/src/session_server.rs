//! One server of a session: deployed for a client that opens one, or ahead of the next one; removed when that is over.
//!
//! To its runtime such a server is the workload with another uid, which tells in a label whose it is. The uid is on record
//! before anything of it is deployed, and until a listing shows that nothing of it is left; so whoever comes after a supervisor
//! that died finds it by the workload's record, or by the label. Those of a workload together: `session_servers.rs`.
use crate::config::Config;
use crate::machine::STDIN_GRACE;
use crate::record_change::{may_restart, update};
use crate::session_counts::Counts;
use crate::spec::specification;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use wharf_failpoint::{Point, reach};
use wharf_model::{Error, ErrorKind, Opaque, Result, RunConfig, SessionServer, StatusRecord, Uid, chain};
use wharf_proxy::{NoInstance, StdioProxy};
use wharf_records::Store;
use wharf_runtimes::{CallError, RawStream, RuntimeClient, look, prove_gone};
use wharf_sdk::{ErrorCode, Handle, WorkloadState};

/// The time for which a deployment is looked for whose outcome is not known.
const LATE_WAIT: Duration = Duration::from_secs(10);
/// The time that a server has to end after it was asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// A server that is not removed within this time, or whose removal failed, keeps its place for longer than sessions can count on.
pub(crate) const SOON_GONE: Duration = Duration::from_secs(5);
/// The longest pause after a step that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The workload whose sessions have servers.
pub(crate) struct Parent {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) run: RunConfig,
    pub(crate) host_id: String,
    pub(crate) client: Arc<RuntimeClient>,
    pub(crate) counts: Counts,
}

/// A session that is to have a server: the proxy in which it will be opened, and who waits for that.
pub(crate) struct Claim {
    pub(crate) proxy: StdioProxy,
    pub(crate) told: oneshot::Sender<std::result::Result<(), NoInstance>>,
}

/// The conditions of one server's life.
pub(crate) struct Terms {
    /// Its session. One that was not claimed when its server is up may come later.
    pub(crate) claimed: oneshot::Receiver<Claim>,
    /// How long the server waits for its session.
    pub(crate) waits: Duration,
    /// Cancelled when it is to end.
    pub(crate) closing: CancellationToken,
}

/// The present knowledge of a server that was to be started.
#[derive(Default)]
struct Made {
    handle: Option<Handle>,
    /// Its deployment may still bring it.
    is_late: bool,
}

impl Parent {
    /// One server, from its record to the end of it.
    pub(crate) async fn live(&self, terms: Terms) {
        // A session that has claimed it hears that by the end of its terms.
        let Some(uid) = Uid::random().ok().filter(|_| !terms.closing.is_cancelled()) else { return };
        let run = self.run.with_uid(uid);
        if let Err(error) = self.record(&run.uid).await {
            tracing::warn!(error = %chain(&error), "a server of a session cannot be recorded, and is not started");
            drop(terms.claimed);
            // A write that was reported failed may be there all the same.
            return self.clear(&run, Made::default(), &terms.closing).await;
        }
        let mut made = Made::default();
        let brought = tokio::select! {
            biased;
            () = terms.closing.cancelled() => Err(Error::new(ErrorKind::Failed, "the workload is being stopped")),
            brought = self.bring_up(&run, &mut made) => brought,
        };
        let closing = terms.closing.clone();
        match brought {
            Ok(stream) => self.serve(&run, &made, stream, terms).await,
            Err(error) => {
                tracing::warn!(uid = %run.uid, error = %chain(&error), "a server of a session cannot be started");
                // That tells the client that waits.
                drop(terms.claimed);
            }
        }
        reach(Point::SessionOver);
        self.clear(&run, made, &closing).await;
    }

    /// Records its uid, as long as the workload is to run.
    async fn record(&self, uid: &Uid) -> Result<()> {
        let uid = uid.clone();
        self.change(move |record| {
            if !may_restart(record) {
                return Err(Error::new(ErrorKind::Conflict, "the workload is no longer to run"));
            }
            record.session_servers.push(SessionServer { uid, handle: None });
            Ok(())
        })
        .await
    }

    /// Deploys, records the handle before any code of it runs (R12), starts.
    async fn bring_up(&self, run: &RunConfig, made: &mut Made) -> Result<RawStream> {
        let mut spec = specification(&self.config, run, self.client.stamp(), &self.host_id, 0)?;
        spec.parent = Some(self.run.uid.to_string());
        // If this is dropped now, it may come.
        made.is_late = true;
        let deployed = self.client.deploy(&spec).await;
        made.is_late = deployed.as_ref().is_err_and(is_outcome_unknown);
        let handle = deployed?;
        made.handle = Some(handle.clone());
        // Another engine may have taken the endpoint meanwhile.
        let seen = look(&self.client, &self.host_id, run).await?;
        if seen.is_none_or(|seen| seen.handle.is_some_and(|shown| shown != handle)) {
            return Err(Error::new(ErrorKind::Owner, "the recorded instance does not show what was made"));
        }
        let recorded = Opaque::of(&handle)
            .map_err(|error| Error::caused(ErrorKind::Failed, "the handle cannot be written", &error))?;
        let uid = run.uid.clone();
        self.change(move |record| {
            let gone = || Error::new(ErrorKind::NotFound, "the server is no longer on record");
            let server =
                record.session_servers.iter_mut().find(|server| server.uid == uid).ok_or_else(gone)?;
            server.handle = Some(recorded);
            Ok(())
        })
        .await?;
        let stream = self.client.attach(&handle).await?;
        self.client.start(&handle).await?;
        Ok(stream)
    }

    /// Waits for its session, shakes hands, and stays until that is over.
    async fn serve(&self, run: &RunConfig, made: &Made, stream: RawStream, terms: Terms) {
        let Terms { claimed, waits, closing } = terms;
        let claim = tokio::select! {
            biased;
            claim = claimed => claim.ok(),
            () = closing.cancelled() => None,
            () = self.ended(made) => None,
            () = sleep(waits) => None,
        };
        let Some(Claim { proxy, mut told }) = claim else {
            tracing::debug!(uid = %run.uid, "a server that waited for a session is not needed");
            return;
        };
        // Only now does the server hear of its client: its session's abilities are its own.
        let ready = tokio::select! {
            ready = self.shake_hands(&proxy, stream) => ready,
            () = closing.cancelled() => Err(Error::new(ErrorKind::Failed, "the workload is being stopped")),
            () = told.closed() => Err(Error::new(ErrorKind::Failed, "its client has gone")),
        };
        if let Err(error) = ready {
            tracing::warn!(uid = %run.uid, error = %chain(&error), "a session does not get this server");
            // The proxy stays as it is, since another server may be tried in it.
            let _ = told.send(Err(NoInstance::Failed));
            return;
        }
        tracing::debug!(uid = %run.uid, "a session has a server of its own");
        if told.send(Ok(())).is_ok() {
            self.until_over(made, &proxy, &closing).await;
        }
        proxy.shutdown().await;
    }

    async fn shake_hands(&self, proxy: &StdioProxy, stream: RawStream) -> Result<()> {
        let (stdout, stdin) = stream
            .into_sides()
            .map_err(|error| Error::caused(ErrorKind::Runtime, "the server cannot be attached", &error))?;
        let shaken = proxy.connect(stdout, stdin, self.config.settings.start_timeout()).await;
        shaken
            .map(drop)
            .map_err(|error| Error::caused(ErrorKind::Runtime, "the server did not get ready", &error))
    }

    async fn ended(&self, made: &Made) {
        match &made.handle {
            Some(handle) => drop(self.client.wait(handle).await),
            None => std::future::pending().await,
        }
    }

    /// Its session has ended, or it has, or the workload is to end.
    async fn until_over(&self, made: &Made, proxy: &StdioProxy, closing: &CancellationToken) {
        tokio::select! {
            () = proxy.over() => {}
            () = proxy.disconnected() => tracing::info!("the server of a session closed its output: the session ends"),
            () = self.ended(made) => tracing::info!("the server of a session ended: the session ends"),
            () = closing.cancelled() => {}
        }
    }

    /// Removes it, and takes it off the record once a listing shows that it is gone. A step that fails is tried again as long
    /// as the workload runs; then the record has it for the next command.
    async fn clear(&self, run: &RunConfig, made: Made, closing: &CancellationToken) {
        let mut soon_gone = (!made.is_late).then(|| self.counts.clears());
        let until = Instant::now() + if made.is_late { LATE_WAIT } else { Duration::ZERO };
        let mut pause = Duration::from_millis(50);
        loop {
            let is_settled = Instant::now() >= until;
            let mut removing = pin!(self.remove_once(run, is_settled));
            let removed = match timeout(SOON_GONE, &mut removing).await {
                Ok(removed) => removed,
                Err(_) => {
                    drop(soon_gone.take());
                    removing.await
                }
            };
            match removed {
                Ok(()) if is_settled => return,
                Ok(()) => {}
                Err(error) => {
                    drop(soon_gone.take());
                    tracing::warn!(uid = %run.uid, error = %chain(&error), "the server of a session cannot be removed");
                    if closing.is_cancelled() && is_settled {
                        return;
                    }
                }
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = closing.cancelled(), if !closing.is_cancelled() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn remove_once(&self, run: &RunConfig, is_settled: bool) -> Result<()> {
        self.remove(run).await?;
        if !is_settled {
            return Ok(());
        }
        reach(Point::SessionServerGone);
        let uid = run.uid.clone();
        let forgotten = self.change(move |record| {
            record.session_servers.retain(|server| server.uid != uid);
            Ok(())
        });
        match forgotten.await {
            // The workload has gone, and its record with it.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    async fn remove(&self, run: &RunConfig) -> Result<()> {
        let Some(seen) = look(&self.client, &self.host_id, run).await? else { return Ok(()) };
        let unreachable = || Error::new(ErrorKind::Owner, "its runtime does not say how to reach it");
        let handle = seen.handle.ok_or_else(unreachable)?;
        if seen.state == WorkloadState::Running {
            // Its stdin is closed, which ends most of them.
            let _ = timeout(STDIN_GRACE, self.client.wait(&handle)).await;
            self.client.stop(&handle, STOP_TIMEOUT).await?;
        }
        match self.client.remove(&handle).await {
            Err(error) if error.code() != Some(ErrorCode::NotFound) => return Err(error.into()),
            _ => {}
        }
        prove_gone(&self.client, &self.host_id, run).await
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut StatusRecord) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        update(&self.store, &self.run, change).await
    }
}

/// True if it may be there all the same, or come.
fn is_outcome_unknown(error: &CallError) -> bool {
    match error {
        CallError::Answered(error) => matches!(
            error.code,
            ErrorCode::Timeout | ErrorCode::Cancelled | ErrorCode::Unavailable | ErrorCode::Internal
        ),
        CallError::Deadline { .. } | CallError::Malformed { .. } | CallError::Died { .. } => true,
    }
}
