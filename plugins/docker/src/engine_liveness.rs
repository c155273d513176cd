//! [`Presence`]: tells whether one and the same engine was there the whole time that a container ran.
//!
//! The stdin of a container is held open by its engine. When the engine goes away, the server reads the end of its input
//! and exits as if its work were done; and by then another engine may serve the same socket. So a request is left open that
//! the engine does not answer as long as the container exists: if that connection breaks, the engine that had the container
//! is gone.
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

/// Watches an engine, from the moment at which this was made.
pub(crate) struct Presence {
    answer: Fuse<BoxFuture<'static, io::Result<()>>>,
}

impl Presence {
    /// Watches an engine that has this container.
    ///
    /// # Errors
    /// The engine cannot be reached.
    pub(crate) async fn of(engine: &Engine, container: &str) -> io::Result<Self> {
        let path = match engine.flavor {
            Flavor::Docker => format!("/containers/{container}/wait?condition=removed"),
            // For a `wait`, Podman looks at the container's state again and again. The wait is for a state that does not
            // last, and the interval is a year: so it hardly looks.
            Flavor::Podman => {
                let containers = format!("/v{}/libpod/containers", engine.version);
                format!("{containers}/{container}/wait?condition=removing&interval=8760h")
            }
        };
        let answer = Session::open(&engine.socket).await?.post(&path).await?;
        Ok(Self { answer: answer.boxed().fuse() })
    }

    /// Resolves once, when the request is over; after that it never resolves.
    ///
    /// # Errors
    /// The engine went away. `Ok` means that it answered: it refused the request, or the container is being removed. From
    /// then on nothing is known about the engine.
    pub(crate) fn over(&mut self) -> impl Future<Output = io::Result<()>> {
        &mut self.answer
    }
}

/// The presences of the engines of attached containers, by container, until somebody waits for the container's end.
#[derive(Default)]
pub(crate) struct Presences(Mutex<HashMap<String, Presence>>);

impl Presences {
    /// Keeps a presence: before the container's stdin is attached, or after a wait that ended without the container.
    pub(crate) fn keep(&self, container: &str, presence: Presence) {
        self.all().insert(container.to_owned(), presence);
    }

    /// Takes a presence, for a caller that waits for the container, or that removed it.
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
