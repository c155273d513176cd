//! The servers of a workload's sessions together: as many as may run at the same time, one of them in reserve.
//!
//! A start takes as long as a server needs to come up, and a client waits for it. So, once a session was opened, another server
//! is started ahead: deployed, recorded and begun like all of them, but not yet spoken to. It goes to the next session, and
//! ends if none comes. A place that a session wants is never kept by it.
use crate::config::Config;
use crate::record_change::update;
use crate::session_server::{Claim, Counted, Parent, Terms};
use std::collections::BTreeSet;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharf_model::{Result, RunConfig};
use wharf_proxy::{InstanceSource, NoInstance, Others, Starting, StdioProxy};
use wharf_records::Store;
use wharf_runtimes::{RuntimeClient, remove_children};

/// The longest wait of a session for the place of one that ends.
const PLACE_WAIT: Duration = Duration::from_secs(30);
/// The most sessions that wait: each of them looks through all the others now and then.
const MOST_WAITING: usize = 256;
/// A session that waits looks again so often for one that may go: others have been opened or have become idle meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// The time in which all of them end and are removed when their supervisor ends. The rest stays on record.
const CLOSE_WAIT: Duration = Duration::from_secs(12);

/// The servers of a workload's sessions. Clones are the same.
#[derive(Clone)]
pub(crate) struct SessionServers(Arc<Inner>);

struct Inner {
    parent: Arc<Parent>,
    places: Arc<Semaphore>,
    /// Sessions that wait for a place.
    waiting: AtomicUsize,
    /// Sessions that have one, and whose servers are being started.
    starting: AtomicUsize,
    /// The way to the server in reserve, if there is one. It may have ended.
    reserve: Mutex<Option<oneshot::Sender<Claim>>>,
    tasks: TaskTracker,
    /// Cancelled when those that run are to end; then there is another one.
    closing: Mutex<CancellationToken>,
}

impl fmt::Debug for SessionServers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SessionServers")
            .field("workload", &self.0.parent.run.name)
            .finish_non_exhaustive()
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
            parent: Arc::new(Parent {
                config: config.clone(),
                store: store.clone(),
                run: run.clone(),
                host_id: host_id.to_owned(),
                client: client.clone(),
                clearing: AtomicUsize::new(0),
            }),
            waiting: AtomicUsize::new(0),
            starting: AtomicUsize::new(0),
            reserve: Mutex::default(),
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
    fn start(&self, proxy: StdioProxy) -> Starting {
        let inner = self.0.clone();
        let closing = inner.closing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            // A server that waited may have ended just now; then its session gets another one.
            if inner.take_reserve(&proxy).await.is_err() {
                let place = inner.place(&proxy).await.ok_or(NoInstance::TooMany)?;
                let _counted = Counted::among(&inner.starting);
                let (told, outcome) = oneshot::channel();
                let (claims, claimed) = oneshot::channel();
                let _ = claims.send(Claim { proxy, told });
                inner.begin(place, Terms { claimed, waits: Duration::ZERO, closing: closing.clone() });
                outcome.await.unwrap_or(Err(NoInstance::Failed))?;
            }
            inner.make_reserve(closing);
            Ok(())
        })
    }
}

impl Inner {
    /// The reserve, which may end at any moment.
    fn reserve(&self) -> std::sync::MutexGuard<'_, Option<oneshot::Sender<Claim>>> {
        self.reserve.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, place: OwnedSemaphorePermit, terms: Terms) {
        let parent = self.parent.clone();
        self.tasks.spawn(async move {
            parent.live(terms).await;
            drop(place);
        });
    }

    /// Gives a session the server in reserve.
    async fn take_reserve(&self, proxy: &StdioProxy) -> std::result::Result<(), NoInstance> {
        let claims = self.reserve().take().ok_or(NoInstance::Failed)?;
        let (told, outcome) = oneshot::channel();
        claims.send(Claim { proxy: proxy.clone(), told }).map_err(|_| NoInstance::Failed)?;
        outcome.await.unwrap_or(Err(NoInstance::Failed))
    }

    /// Starts a server for the next session, unless there is one, or a place that nobody waits for is missing.
    fn make_reserve(&self, closing: CancellationToken) {
        let waits = self.parent.config.settings.proxy.session_reserve();
        let mut reserve = self.reserve();
        let is_there = reserve.as_ref().is_some_and(|claims| !claims.is_closed());
        if is_there || waits.is_zero() || closing.is_cancelled() {
            return;
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else { return };
        let (claims, claimed) = oneshot::channel();
        *reserve = Some(claims);
        self.begin(place, Terms { claimed, waits, closing });
    }

    /// A place for a server. At the limit sessions go that are idle.
    async fn place(&self, proxy: &StdioProxy) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Some(place);
        }
        if self.waiting.load(Ordering::Relaxed) >= MOST_WAITING {
            return None;
        }
        let _counted = Counted::among(&self.waiting);
        let mut place = pin!(self.places.clone().acquire_owned());
        let until = Instant::now() + PLACE_WAIT;
        while Instant::now() < until {
            let wanted = self.waiting.load(Ordering::Relaxed);
            let others = match self.starting.load(Ordering::Relaxed) {
                0 => Others::Idle,
                _ => Others::NeverCalled,
            };
            proxy.make_room(wanted.saturating_sub(self.parent.clearing.load(Ordering::Relaxed)), others);
            if let Ok(place) = timeout(LOOK_AGAIN, &mut place).await {
                return place.ok();
            }
        }
        None
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
