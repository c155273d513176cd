//! Whether one and the same engine has been there all the while.
//!
//! The stdin of a container is held open through its engine. When the engine goes away, the server sees the end of its input,
//! which is no end of its work, and by then another process may serve the same socket. What tells is a request that is not
//! answered as long as the container is there: it breaks with the engine that has it.
use crate::engine::Engine;
use crate::flavor::Flavor;
use crate::http::Session;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Fuse},
};
use std::{
    collections::HashMap,
    io,
    sync::{Mutex, PoisonError},
};

/// An engine that is watched since this was made.
pub(crate) struct Presence {
    answer: Fuse<BoxFuture<'static, io::Result<()>>>,
}

impl Presence {
    /// Watches an engine that has this container.
    ///
    /// # Errors
    /// It cannot be reached.
    pub(crate) async fn of(engine: &Engine, container: &str) -> io::Result<Self> {
        let path = match engine.flavor {
            Flavor::Docker => format!("/containers/{container}/wait?condition=removed"),
            // It looks for any state again and again: for this one, which does not last, once a year.
            Flavor::Podman => {
                let containers = format!("/v{}/libpod/containers", engine.version);
                format!("{containers}/{container}/wait?condition=removing&interval=8760h")
            }
        };
        let answer = Session::open(&engine.socket).await?.post(&path).await?;
        Ok(Self { answer: answer.boxed().fuse() })
    }

    /// Resolves when it is over, once; then it is pending for ever.
    ///
    /// # Errors
    /// The engine went away. Without one it answered, which tells nothing from then on: it refused, or the container is
    /// being removed.
    pub(crate) fn over(&mut self) -> impl Future<Output = io::Result<()>> {
        &mut self.answer
    }
}

/// Who is watched since a container's stdin was attached, by container, until somebody waits for its end.
#[derive(Default)]
pub(crate) struct Presences(Mutex<HashMap<String, Presence>>);

impl Presences {
    /// Before its stdin is attached, or back from somebody who waited for the container in vain.
    pub(crate) fn keep(&self, container: &str, presence: Presence) {
        self.all().insert(container.to_owned(), presence);
    }

    /// To somebody who waits: from here on it is theirs. Or to nobody, when the container is gone.
    pub(crate) fn take(&self, container: &str) -> Option<Presence> {
        self.all().remove(container)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<String, Presence>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Presences {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.all().keys()).finish()
    }
}
