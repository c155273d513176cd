//! How a supervisor notices that its workload has ended ([`EndWatch`]) and that its RunConfig is gone ([`disowned`]).
use crate::deployment::Deployment;
use crate::machine::LONGEST_ABSENCE;
use futures_util::future::BoxFuture;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{RunConfig, Uid, WorkloadName};
use wharf_records::Store;
use wharf_runtimes::{CallError, RuntimeClient};
use wharf_runtimes::{look, prove_ended, prove_owner};
use wharf_sdk::{ErrorCode, Exit, Handle, Observation, WorkloadState};

/// How often a supervisor checks that its RunConfig is still there; it goes on for at most so long after the RunConfig is
/// gone.
const CONFIG_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The first pause before a failing runtime is asked again.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// After a wait that was longer than this, earlier failures no longer count.
const STEADY_AFTER: Duration = Duration::from_secs(60);
/// The longest pause before a failing runtime is asked again.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Waits for the end of a deployment. There is one wait from start to end, which other events do not restart: otherwise an
/// engine that goes away and comes back in between would not be noticed.
pub(crate) struct EndWatch {
    exit: BoxFuture<'static, Ended>,
    told: Option<Ended>,
    /// Set if the owner could not be asked at some time since this began: then its engine may have closed the workload's
    /// stdin.
    is_away: Arc<AtomicBool>,
}

/// An end.
#[derive(Clone)]
struct Ended {
    exit: Exit,
    /// Somebody else has started it again since: it ended, and runs.
    came_back: bool,
}

impl EndWatch {
    /// The wait begins with the first call of [`EndWatch::exit`].
    pub(crate) fn of(deployment: &Deployment) -> Self {
        let is_away = Arc::default();
        let exit: BoxFuture<'static, Ended> = match deployment.handle.clone() {
            Some(handle) => {
                let (client, host_id) = (deployment.client.clone(), deployment.host_id.clone());
                Box::pin(wait(client, host_id, deployment.run.clone(), handle, Arc::clone(&is_away)))
            }
            None => Box::pin(std::future::pending()),
        };
        Self { exit, told: None, is_away }
    }

    /// Resolves when one listing of the recorded instance has shown that the workload ended, or when that instance has told of
    /// an end after which it starts the workload again; at once if that is known.
    pub(crate) async fn exit(&mut self) -> Exit {
        if self.told.is_none() {
            self.told = Some((&mut self.exit).await);
        }
        self.told.as_ref().map(|told| told.exit.clone()).unwrap_or_default()
    }

    /// True if that listing also shows that it does not run.
    pub(crate) fn is_proven(&self) -> bool {
        self.told.as_ref().is_some_and(|told| !told.came_back)
    }

    /// True if its owner could not be asked at some time.
    pub(crate) fn was_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }
}

/// The workload's end, as its owner reports it. If the engine cannot be reached, that is no exit, and it is asked again.
/// The same holds if another engine answers, which may have taken the endpoint.
async fn wait(
    client: Arc<RuntimeClient>,
    host_id: String,
    run: RunConfig,
    handle: Handle,
    is_away: Arc<AtomicBool>,
) -> Ended {
    let mut pause = FIRST_RETRY;
    let mut said = String::new();
    loop {
        let began = Instant::now();
        let told = client.wait(&handle).await;
        if began.elapsed() > STEADY_AFTER {
            // A long wait means that the failures before it are over.
            (pause, said) = (FIRST_RETRY, String::new());
            is_away.store(false, Ordering::Relaxed);
        }
        // True if the wait was answered. Whether the recorded instance answered is proven below.
        let is_told = told.is_ok();
        let told = match told {
            Err(error) if is_gone(&error) => {
                Ok(Exit { reason: "its runtime no longer has it".to_owned(), ..Exit::default() })
            }
            told => told.map_err(Error::from),
        };
        let proven = match told {
            // Situation: the engine starts it again, and it may run by now. Conclusion: a listing cannot show this end, and
            // that the recorded instance answers must do.
            Ok(exit) if exit.restarts => {
                prove_owner(&client, &run).await.map(|()| Ended { exit, came_back: false })
            }
            Ok(exit) => prove(&client, &host_id, &run, exit).await,
            Err(error) => Err(error),
        };
        match proven {
            Ok(ended) => return ended,
            Err(error) => {
                let is_absent = error.kind == ErrorKind::Owner;
                // If only the proof timed out, the engine was not away, and the server's stdin was open all the time.
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

/// Proves an end that was told. Somebody else stopping our container is an exit like another, also if he starts it again at
/// once (`docker restart`): its server is a new one, perhaps on another port.
async fn prove(client: &RuntimeClient, host_id: &str, run: &RunConfig, exit: Exit) -> Result<Ended> {
    match prove_ended(client, host_id, run).await {
        Ok(_) => Ok(Ended { exit, came_back: false }),
        Err(unproven) => {
            let seen = look(client, host_id, run).await?;
            match seen {
                Some(seen) if has_come_back(&seen, &exit) => Ok(Ended { exit, came_back: true }),
                _ => Err(unproven),
            }
        }
    }
}

/// True of one that was started after this end.
fn has_come_back(seen: &Observation, exit: &Exit) -> bool {
    let began = seen.started_at_ms.zip(exit.at_ms);
    seen.state == WorkloadState::Running && began.is_some_and(|(started, ended)| started >= ended)
}

fn is_gone(error: &CallError) -> bool {
    error.code() == Some(ErrorCode::NotFound)
}

/// Resolves when a workload [is disowned](is_disowned).
///
/// It polls: an event would need an inotify instance, of which a user may have only 128 in all, and there is a supervisor
/// for every workload.
pub(crate) async fn disowned(store: &Store, name: &WorkloadName, uid: &Uid) {
    loop {
        let (store, name, uid) = (store.clone(), name.clone(), uid.clone());
        let looked = tokio::task::spawn_blocking(move || is_disowned(&store, &name, &uid));
        if looked.await.unwrap_or(false) {
            return;
        }
        tokio::time::sleep(CONFIG_POLL_INTERVAL).await;
    }
}

/// True if the RunConfig is gone, or is another creation's. An unreadable one is no evidence.
pub(crate) fn is_disowned(store: &Store, name: &WorkloadName, uid: &Uid) -> bool {
    match store.read_run_config(name) {
        Ok(now) => now.uid != *uid,
        Err(error) => error.is_not_found(),
    }
}
