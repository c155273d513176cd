//! A server for each session of a workload: deployed when a client opens one, removed when that is over.
//!
//! To its runtime such a server is the workload with another uid, which tells in a label whose it is. The uid is on record
//! before anything of it is deployed, and until a listing shows that nothing of it is left; so whoever comes after a supervisor
//! that died finds it by the workload's record, or by the label.
use crate::config::Config;
use crate::machine::STDIN_GRACE;
use crate::record_change::{may_restart, update};
use crate::spec::specification;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharf_failpoint::{Point, reach};
use wharf_model::{Error, ErrorKind, Opaque, Result, RunConfig, SessionServer, StatusRecord, Uid, chain};
use wharf_proxy::{InstanceSource, NoInstance, Starting, StdioProxy};
use wharf_records::Store;
use wharf_runtimes::{CallError, RuntimeClient, look, prove_gone, remove_children};
use wharf_sdk::{ErrorCode, Handle, WorkloadState};

/// The longest wait of a session for the place of one that ends.
const PLACE_WAIT: Duration = Duration::from_secs(30);
/// The time for which a deployment is looked for whose outcome is not known.
const LATE_WAIT: Duration = Duration::from_secs(10);
/// The time that a server has to end after it was asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// The time in which all of them end and are removed when their supervisor ends. The rest stays on record.
const CLOSE_WAIT: Duration = Duration::from_secs(12);
/// The longest pause after a step that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The servers of a workload's sessions. Clones are the same.
#[derive(Clone)]
pub(crate) struct SessionServers(Arc<Inner>);

struct Inner {
    config: Config,
    store: Store,
    /// The workload.
    run: RunConfig,
    host_id: String,
    client: Arc<RuntimeClient>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    /// Cancelled when those that run are to end; then there is another one.
    closing: Mutex<CancellationToken>,
}

impl fmt::Debug for SessionServers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SessionServers").field("workload", &self.0.run.name).finish_non_exhaustive()
    }
}

impl SessionServers {
    /// The session servers of a workload, at its owner.
    pub(crate) fn new(
        (config, store): (&Config, &Store),
        run: &RunConfig,
        (client, host_id): (&Arc<RuntimeClient>, &str),
    ) -> Self {
        Self(Arc::new(Inner {
            places: Arc::new(Semaphore::new(config.settings.proxy.session_servers())),
            config: config.clone(),
            store: store.clone(),
            run: run.clone(),
            host_id: host_id.to_owned(),
            client: client.clone(),
            tasks: TaskTracker::new(),
            closing: Mutex::default(),
        }))
    }

    /// Ends those that run, and waits until they are removed, for a while: what is left then stays on record.
    pub(crate) async fn close(&self) {
        let inner = &self.0;
        let closing = std::mem::take(&mut *inner.closing.lock().unwrap_or_else(PoisonError::into_inner));
        closing.cancel();
        inner.tasks.close();
        if timeout(CLOSE_WAIT, inner.tasks.wait()).await.is_err() {
            tracing::warn!(left = inner.tasks.len(), "not all servers of sessions could be removed in time");
        }
        inner.tasks.reopen();
    }
}

impl InstanceSource for SessionServers {
    fn is_full(&self) -> bool {
        self.0.places.available_permits() == 0
    }

    fn start(&self, proxy: StdioProxy) -> Starting {
        let inner = self.0.clone();
        let closing = inner.closing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            let place = timeout(PLACE_WAIT, inner.places.clone().acquire_owned()).await;
            let Ok(Ok(place)) = place else { return Err(NoInstance::TooMany) };
            let (told, outcome) = oneshot::channel();
            let server = inner.clone();
            inner.tasks.spawn(async move {
                server.live(proxy, told, closing).await;
                drop(place);
            });
            outcome.await.unwrap_or(Err(NoInstance::Failed))
        })
    }
}

/// The present knowledge of a server that was to be started.
#[derive(Default)]
struct Made {
    handle: Option<Handle>,
    /// Its deployment may still bring it.
    is_late: bool,
}

impl Inner {
    /// One server, from its record to the end of it.
    async fn live(
        &self,
        proxy: StdioProxy,
        mut told: oneshot::Sender<std::result::Result<(), NoInstance>>,
        closing: CancellationToken,
    ) {
        let Ok(uid) = Uid::random() else { return };
        let run = self.run.with_uid(uid);
        if let Err(error) = self.record(&run.uid).await {
            tracing::warn!(error = %chain(&error), "a server of a session cannot be recorded, and is not started");
            // A write that was reported failed may be there all the same.
            let _ = told.send(Err(NoInstance::Failed));
            return self.clear(&run, Made::default(), &closing).await;
        }
        let mut made = Made { is_late: true, ..Made::default() };
        let brought = tokio::select! {
            brought = self.bring_up(&run, &proxy, &mut made) => brought,
            () = closing.cancelled() => Err(Error::new(ErrorKind::Failed, "the workload is being stopped")),
            () = told.closed() => Err(Error::new(ErrorKind::Failed, "its client has gone")),
        };
        match brought {
            Ok(()) => {
                tracing::debug!(uid = %run.uid, "a session has a server of its own");
                if told.send(Ok(())).is_ok() {
                    self.until_over(&made, &proxy, &closing).await;
                }
            }
            Err(error) => {
                tracing::warn!(uid = %run.uid, error = %chain(&error), "a session gets no server");
                let _ = told.send(Err(NoInstance::Failed));
            }
        }
        reach(Point::SessionOver);
        proxy.shutdown().await;
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

    /// Deploys, records the handle before any code of it runs (R12), starts, shakes hands.
    async fn bring_up(&self, run: &RunConfig, proxy: &StdioProxy, made: &mut Made) -> Result<()> {
        let mut spec = specification(&self.config, run, self.client.stamp(), &self.host_id, 0)?;
        spec.parent = Some(self.run.uid.to_string());
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
        let (stdout, stdin) = stream
            .into_sides()
            .map_err(|error| Error::caused(ErrorKind::Runtime, "the server cannot be attached", &error))?;
        self.client.start(&handle).await?;
        let deadline = self.config.settings.start_timeout();
        let shaken = proxy.connect(stdout, stdin, deadline).await;
        shaken
            .map(drop)
            .map_err(|error| Error::caused(ErrorKind::Runtime, "the server did not get ready", &error))
    }

    /// Its session has ended, or it has, or the workload is to end.
    async fn until_over(&self, made: &Made, proxy: &StdioProxy, closing: &CancellationToken) {
        let ended = async {
            match &made.handle {
                Some(handle) => drop(self.client.wait(handle).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = proxy.over() => {}
            () = proxy.disconnected() => tracing::info!("the server of a session closed its output: the session ends"),
            () = ended => tracing::info!("the server of a session ended: the session ends"),
            () = closing.cancelled() => {}
        }
    }

    /// Removes it, and takes it off the record once a listing shows that it is gone. A step that fails is tried again as long
    /// as the workload runs; then the record has it for the next command.
    async fn clear(&self, run: &RunConfig, made: Made, closing: &CancellationToken) {
        let until = Instant::now() + if made.is_late { LATE_WAIT } else { Duration::ZERO };
        let mut pause = Duration::from_millis(50);
        loop {
            let is_settled = Instant::now() >= until;
            match self.remove_once(run, is_settled).await {
                Ok(()) if is_settled => return,
                Ok(()) => {}
                Err(error) => {
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

/// Removes the servers of sessions that an earlier supervisor of this workload has left.
pub(crate) async fn clear_session_servers(
    store: &Store,
    run: &RunConfig,
    (client, host_id): (&RuntimeClient, &str),
) -> Result<()> {
    let recorded = store.read_status(&run.name)?.session_servers;
    if recorded.is_empty() && run.instances.is_shared() {
        return Ok(());
    }
    let uids: BTreeSet<String> = recorded.iter().map(|server| server.uid.to_string()).collect();
    remove_children(client, host_id, run, &uids).await?;
    if recorded.is_empty() {
        return Ok(());
    }
    update(store, run, |record| {
        record.session_servers.clear();
        Ok(())
    })
    .await
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
