//! What can happen to a workload that is ready, and how each is awaited.
use super::control::Asked;
use super::deploy::Deployment;
use crate::error::{Error, ErrorKind};
use crate::plugin::CallError;
use crate::status::Watch as StateWatch;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::time::Instant;
use wharf_sdk::{ErrorCode, Exit};

/// How long a server may take to end once its stdin is closed, before it is sent a signal.
pub(super) const STDIN_GRACE: Duration = Duration::from_secs(2);
/// The longest pause before a runtime that fails is asked again.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// The same where the engine is not there, or does not listen: that costs it nothing, and users wait for it to be back.
pub(super) const LONGEST_ABSENCE: Duration = Duration::from_secs(5);

/// What made the supervisor look up.
pub(super) enum Happening {
    Exited(Exit),
    /// It has closed its output.
    Muted,
    /// It has closed its output, and still runs after the grace.
    Mute,
    Asked(Asked),
    Signalled,
    /// Its RunConfig is no more, or is of another creation of the name.
    Disowned,
}

/// The workload's end, as its owner tells it. An engine that cannot be reached is no exit: it is asked again; nor is
/// what another engine says, which may have taken the endpoint.
pub(super) async fn wait(deployment: &Deployment, away: &AtomicBool) -> Exit {
    let Some(handle) = &deployment.handle else { return std::future::pending().await };
    let mut pause = Duration::from_millis(200);
    let mut said = String::new();
    loop {
        let told = match deployment.client.wait(handle).await {
            Err(error) if is_gone(&error) => {
                Ok(Exit { reason: "its runtime no longer has it".to_owned(), ..Exit::default() })
            }
            told => told.map_err(Error::from),
        };
        let proven = match told {
            Ok(exit) => deployment.prove_ended().await.map(|()| exit),
            Err(error) => Err(error),
        };
        match proven {
            Ok(exit) => return exit,
            Err(error) => {
                let is_absent = error.kind == ErrorKind::Owner;
                away.fetch_or(is_absent, Ordering::Relaxed);
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

/// Resolves when the RunConfig has gone, or is another creation's. One that cannot be read, or whose folder cannot be
/// watched, says nothing.
pub(super) async fn disowned(deployment: &Deployment) {
    let (store, run) = (&deployment.store, &deployment.run);
    let path = store.run_config_file(&run.name);
    let Ok(mut watch) = StateWatch::new() else { return std::future::pending().await };
    loop {
        // The watch first: what happens after it is seen, what happened before is read.
        let watched = watch.fate(&path);
        let gone = match store.read_run_config(&run.name) {
            Ok(now) => now.uid != run.uid,
            Err(error) => error.is_not_found(),
        };
        if gone {
            return;
        }
        let changed = match watched {
            Ok(true) => watch.changed().await,
            // It was replaced in between.
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if changed.is_err() {
            return std::future::pending().await;
        }
    }
}

/// The server's stdout has ended, and that is news.
pub(super) async fn muted(deployment: &Deployment, since: Option<Instant>) {
    match (&deployment.front, since) {
        (Some(front), None) => front.disconnected().await,
        _ => std::future::pending().await,
    }
}

/// The server's process has not ended within the grace after its stdout did.
pub(super) async fn mute(since: Option<Instant>) {
    match since {
        Some(since) => tokio::time::sleep_until(since + STDIN_GRACE).await,
        None => std::future::pending().await,
    }
}
