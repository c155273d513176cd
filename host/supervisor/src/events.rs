//! What can happen to a workload that is ready, and how each is awaited.
use crate::client::control::Asked;
use crate::deployment::Deployment;
use futures_util::future::BoxFuture;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use wharf_model::{Error, ErrorKind};
use wharf_model::{RunConfig, Uid, WorkloadName};
use wharf_records::Store;
use wharf_runtimes::prove_ended;
use wharf_runtimes::{CallError, RuntimeClient};
use wharf_sdk::{ErrorCode, Exit, Handle};

/// How long a server may take to end once its stdin is closed, before it is sent a signal.
pub(crate) const STDIN_GRACE: Duration = Duration::from_secs(2);
/// How often a supervisor looks whether its RunConfig is still there, and so how long it may go on after that is gone.
const CONFIG_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The first pause before a runtime that fails is asked again.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// A wait that was longer than this has nothing to do with the failures before it.
const STEADY_AFTER: Duration = Duration::from_secs(60);
/// The longest pause before a runtime that fails is asked again.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// The same where the engine is not there, or does not listen: that costs it nothing, and users wait for it to be back.
pub(crate) const LONGEST_ABSENCE: Duration = Duration::from_secs(5);

/// What made the supervisor look up.
pub(crate) enum SupervisorEvent {
    Exited(Exit),
    /// It has closed its output.
    StdoutClosed,
    /// It has closed its output, and still runs after the grace.
    StdoutClosedTimeout,
    ControlRequest(Asked),
    Signalled,
    /// Its RunConfig is no more, or is of another creation of the name.
    ConfigRemoved,
}

/// The end of what is deployed. It is asked for once, not anew after whatever else happens: an engine that went away and came
/// back in between would not be noticed.
pub(crate) struct Ending {
    exit: BoxFuture<'static, Exit>,
    /// The owner could not be asked since this began: its engine may have taken the workload's input along.
    is_away: Arc<AtomicBool>,
}

impl Ending {
    /// Begins with the first [`Ending::exit`].
    pub(crate) fn of(deployment: &Deployment) -> Self {
        let is_away = Arc::default();
        let exit: BoxFuture<'static, Exit> = match deployment.handle.clone() {
            Some(handle) => {
                let (client, host_id) = (deployment.client.clone(), deployment.host_id.clone());
                Box::pin(wait(client, host_id, deployment.run.clone(), handle, Arc::clone(&is_away)))
            }
            None => Box::pin(std::future::pending()),
        };
        Self { exit, is_away }
    }

    /// Resolves once.
    pub(crate) fn exit(&mut self) -> impl Future<Output = Exit> {
        &mut self.exit
    }

    /// Whether its owner could not be asked at some time.
    pub(crate) fn was_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }
}

/// The workload's end, as its owner tells it. An engine that cannot be reached is no exit: it is asked again; nor is
/// what another engine says, which may have taken the endpoint.
async fn wait(
    client: Arc<RuntimeClient>,
    host_id: String,
    run: RunConfig,
    handle: Handle,
    is_away: Arc<AtomicBool>,
) -> Exit {
    let mut pause = FIRST_RETRY;
    let mut said = String::new();
    loop {
        let began = Instant::now();
        let told = client.wait(&handle).await;
        if began.elapsed() > STEADY_AFTER {
            // What there was before has had no consequences.
            (pause, said) = (FIRST_RETRY, String::new());
            is_away.store(false, Ordering::Relaxed);
        }
        // Its owner's word; only whether that was the owner is open yet.
        let is_told = told.is_ok();
        let told = match told {
            Err(error) if is_gone(&error) => {
                Ok(Exit { reason: "its runtime no longer has it".to_owned(), ..Exit::default() })
            }
            told => told.map_err(Error::from),
        };
        let proven = match told {
            Ok(exit) => prove_ended(&client, &host_id, &run).await.map(|_| exit),
            Err(error) => Err(error),
        };
        match proven {
            Ok(exit) => return exit,
            Err(error) => {
                let is_absent = error.kind == ErrorKind::Owner;
                // If only the proof came too late, the engine was there all the while, and the server's stdin with it.
                is_away.fetch_or(is_absent && !is_told, Ordering::Relaxed);
                let longest = if is_absent { LONGEST_ABSENCE } else { LONGEST_RETRY };
                pause = pause.min(longest);
                if said != error.message {
                    tracing::warn!(%error, "the runtime cannot tell about the workload");
                    said = error.message;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
        }
    }
}

fn is_gone(error: &CallError) -> bool {
    error.code() == Some(ErrorCode::NotFound)
}

/// Resolves when the workload [is disowned](is_disowned).
///
/// Looked at now and then: an event would need an inotify instance, of which the kernel gives a user 128 for all that they
/// run, and there is a supervisor for every workload.
pub(crate) async fn disowned(deployment: &Deployment) {
    loop {
        let (store, name, uid) =
            (deployment.store.clone(), deployment.run.name.clone(), deployment.run.uid.clone());
        let looked = tokio::task::spawn_blocking(move || is_disowned(&store, &name, &uid));
        if looked.await.unwrap_or(false) {
            return;
        }
        tokio::time::sleep(CONFIG_POLL_INTERVAL).await;
    }
}

/// Whether the RunConfig has gone, or is another creation's. One that cannot be read says nothing.
pub(crate) fn is_disowned(store: &Store, name: &WorkloadName, uid: &Uid) -> bool {
    match store.read_run_config(name) {
        Ok(now) => now.uid != *uid,
        Err(error) => error.is_not_found(),
    }
}

/// The server's stdout has ended, and that is news.
pub(crate) async fn muted(deployment: &Deployment, since: Option<Instant>) {
    match (&deployment.front, since) {
        (Some(front), None) => front.disconnected().await,
        _ => std::future::pending().await,
    }
}

/// The server's process has not ended within the grace after its stdout did.
pub(crate) async fn mute(since: Option<Instant>) {
    match since {
        Some(since) => tokio::time::sleep_until(since + STDIN_GRACE).await,
        None => std::future::pending().await,
    }
}
