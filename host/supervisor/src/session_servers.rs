//! The servers of a workload's sessions together: as many as may run at the same time, one of them in reserve.
//!
//! A start takes as long as a server needs to come up, and a client waits for it. So, once a session was opened, another server
//! is started ahead: deployed, recorded and begun like all of them, but not yet spoken to. It goes to the next session, and
//! ends if none comes. A place that a session wants is never kept by it.
use crate::config::Config;
use crate::record_change::update;
use crate::session_counts::{Counted, Counts};
use crate::session_server::{Claim, Parent, Terms};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharf_model::{Result, RunConfig};
use wharf_proxy::{InstanceSource, NoInstance, Others, Starting, StdioProxy};
use wharf_records::Store;
use wharf_runtimes::{RuntimeClient, remove_children};

/// The longest wait of a session for the place of one that ends.
const PLACE_WAIT: Duration = Duration::from_secs(30);
/// The most sessions that wait.
const MOST_WAITING: usize = 256;
/// The time in which all of them end and are removed when their supervisor ends. The rest stays on record.
const CLOSE_WAIT: Duration = Duration::from_secs(12);

/// The servers of a workload's sessions. Clones are the same.
#[derive(Clone)]
pub(crate) struct SessionServers(Arc<Inner>);

struct Inner {
    parent: Arc<Parent>,
    places: Arc<Semaphore>,
    /// Held by the one of the sessions that wait which looks for others that may go.
    turn: tokio::sync::Mutex<()>,
    /// The way to the server in reserve, if there is one. It may have ended.
    reserve: Mutex<Option<oneshot::Sender<Claim>>>,
    tasks: TaskTracker,
    /// Cancelled while those that run are to end; then there is another one.
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
                counts: Counts::default(),
            }),
            turn: tokio::sync::Mutex::default(),
            reserve: Mutex::default(),
            tasks: TaskTracker::new(),
            closing: Mutex::default(),
        }))
    }

    /// Ends those that run, and waits until they are removed, for a while: what is left then stays on record.
    ///
    /// Situation: clients are let in until the workload's own server is given up too, after this; and a stop may fail, after
    /// which the workload goes on. Conclusion: a session that is opened meanwhile gets no server, and later ones do.
    pub(crate) async fn close(&self) {
        let inner = &self.0;
        let _opens_again = OpensAgain(inner);
        inner.closing().cancel();
        inner.tasks.close();
        if timeout(CLOSE_WAIT, inner.tasks.wait()).await.is_err() {
            tracing::warn!(left = inner.tasks.len(), "not all servers of sessions could be removed in time");
        }
    }
}

/// Lets sessions have servers again when it is dropped: a stop that another one replaces is dropped in the middle.
struct OpensAgain<'a>(&'a Inner);

impl Drop for OpensAgain<'_> {
    fn drop(&mut self) {
        *self.0.closing.lock().unwrap_or_else(PoisonError::into_inner) = CancellationToken::new();
        self.0.tasks.reopen();
    }
}

impl InstanceSource for SessionServers {
    fn start(&self, proxy: StdioProxy) -> Starting {
        let inner = self.0.clone();
        let closing = inner.closing();
        Box::pin(async move {
            if closing.is_cancelled() {
                return Err(NoInstance::Failed);
            }
            // A server that waited may have ended just now; then its session gets another one.
            if inner.take_reserve(&proxy).await.is_err() {
                let (place, _starts) = inner.place(&proxy, &closing).await?;
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
    /// Cancelled when the servers of now are to end.
    fn closing(&self) -> CancellationToken {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

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

    /// A place for a server, which counts as one that is being started. At the limit sessions go that are idle.
    async fn place(
        &self,
        proxy: &StdioProxy,
        closing: &CancellationToken,
    ) -> std::result::Result<(OwnedSemaphorePermit, Counted<'_>), NoInstance> {
        let counts = &self.parent.counts;
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok((place, counts.starts()));
        }
        if counts.waiting() >= MOST_WAITING {
            return Err(NoInstance::TooMany);
        }
        let _waits = counts.waits();
        let place = tokio::select! {
            biased;
            () = closing.cancelled() => return Err(NoInstance::Failed),
            place = self.places.clone().acquire_owned() => place.map_err(|_| NoInstance::Failed)?,
            never = self.look_for_room(proxy) => match never {},
            () = sleep(PLACE_WAIT) => return Err(NoInstance::TooMany),
        };
        Ok((place, counts.starts()))
    }

    /// Has sessions go that are idle, for all sessions that wait: one of these does it at a time.
    async fn look_for_room(&self, proxy: &StdioProxy) -> Infallible {
        let _turn = self.turn.lock().await;
        let counts = &self.parent.counts;
        loop {
            let others = if counts.is_starting() { Others::NeverCalled } else { Others::Idle };
            let may_go = proxy.make_room(counts.wanted(), others);
            let time_comes = async {
                match may_go {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time_comes => {}
                () = proxy.others_rest() => {}
                () = counts.changed() => {}
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session_server::SOON_GONE;
    use serde_json::json;
    use std::path::Path;
    use tokio::time::Instant;
    use wharf_model::{Desired, Phase, StatusRecord, Uid};
    use wharf_proxy::ProxyOptions;
    use wharf_runtimes::{Answer, Connection, Deadlines, RawStream};
    use wharf_sdk::stamp::RuntimeStamp;

    /// A runtime that never answers.
    struct Silent;

    impl Connection for Silent {
        fn call(&self, _: &'static str, _: String) -> Answer<String> {
            Box::pin(std::future::pending())
        }

        fn open(&self, _: &'static str, _: String) -> Answer<RawStream> {
            Box::pin(std::future::pending())
        }

        fn shut_down(&self, _: u64) -> Answer<()> {
            Box::pin(std::future::pending())
        }
    }

    /// The servers of a running workload of which one session may have one.
    fn one_server(folder: &Path) -> SessionServers {
        let config: Config = serde_json::from_value(json!({
            "state_dir": folder, "data_dir": folder, "config_dir": folder, "plugin_dirs": [], "executable": "/none",
            "current_dir": "/", "search_path": [], "log_level": "info", "pins": {},
            "settings": { "proxy": { "session_servers": 1, "session_reserve_ms": 0 } },
        }))
        .unwrap();
        let run = RunConfig::new(Uid::random().unwrap(), "many".parse().unwrap(), "/none");
        let store = Store::new(config.state());
        store.create_run_config(&run).unwrap();
        let mut record = StatusRecord::new(run.uid.clone());
        (record.phase, record.desired) = (Phase::Running, Desired::Running);
        store.write_status(&run.name, &run.uid, 0, record).unwrap();
        let stamp =
            RuntimeStamp { name: "silent".to_owned(), capabilities: vec![], accepts: vec![], priority: 0 };
        let client = Arc::new(RuntimeClient::new(stamp, Arc::new(Silent), Deadlines::default()));
        SessionServers::new((&config, &store), &run, (&client, "host"))
    }

    fn proxy() -> StdioProxy {
        StdioProxy::new(ProxyOptions::default())
    }

    /// The number of servers on record.
    fn recorded(servers: &SessionServers) -> usize {
        let parent = &servers.0.parent;
        parent.store.read_status(&parent.run.name).unwrap().session_servers.len()
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_the_servers_end_gets_none_and_who_comes_later_does() {
        let folder = tempfile::tempdir().unwrap();
        let servers = one_server(folder.path());
        let (ends, ended) = oneshot::channel::<()>();
        servers.0.tasks.spawn(async move { drop(ended.await) });
        let closing = tokio::spawn({
            let servers = servers.clone();
            async move { servers.close().await }
        });
        tokio::task::yield_now().await;
        assert_eq!(servers.start(proxy()).await, Err(NoInstance::Failed));
        assert_eq!(recorded(&servers), 0, "nothing was begun for it");
        ends.send(()).unwrap();
        closing.await.unwrap();
        // This runtime brings none up, but one was begun.
        assert_eq!(servers.start(proxy()).await, Err(NoInstance::Failed));
        assert_eq!(recorded(&servers), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_place_when_the_servers_end_gets_none() {
        let folder = tempfile::tempdir().unwrap();
        let servers = one_server(folder.path());
        let place = servers.0.places.clone().try_acquire_owned().unwrap();
        let waiting = tokio::spawn(servers.start(proxy()));
        tokio::task::yield_now().await;
        let began = Instant::now();
        servers.close().await;
        assert_eq!(waiting.await.unwrap(), Err(NoInstance::Failed));
        assert!(began.elapsed() < PLACE_WAIT);
        // And had it got the place in the same moment, nothing would have been begun.
        let closing = CancellationToken::new();
        closing.cancel();
        let (_claims, claimed) = oneshot::channel();
        servers.0.begin(place, Terms { claimed, waits: Duration::ZERO, closing });
        servers.close().await;
        assert_eq!((servers.0.tasks.len(), recorded(&servers)), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_whose_server_cannot_be_removed_is_not_counted_on() {
        let folder = tempfile::tempdir().unwrap();
        let servers = one_server(folder.path());
        let parent = servers.0.parent.clone();
        // A command is at work on the workload: the server is not started, and what may be there of it is looked for.
        update(&parent.store, &parent.run, |record| {
            record.desired = Desired::Stopped;
            Ok(())
        })
        .await
        .unwrap();
        let (_claims, claimed) = oneshot::channel();
        let place = servers.0.places.clone().try_acquire_owned().unwrap();
        servers.0.begin(place, Terms { claimed, waits: Duration::ZERO, closing: CancellationToken::new() });
        let _waits = parent.counts.waits();
        // The record is a file, which takes real time, while this clock stands still: so no time is waited for here.
        while parent.counts.wanted() > 0 {
            parent.counts.changed().await;
        }
        sleep(2 * SOON_GONE).await;
        assert_eq!(parent.counts.wanted(), 1, "somebody else has to make room");
    }
}
