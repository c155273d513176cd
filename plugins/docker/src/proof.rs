//! Which instance answers, and what it says afterwards on the same connection.
//!
//! Whoever begins a command, or makes something anew, asks it on a new connection, and so meets whatever listens at the
//! socket by then. The listings that follow, by which effects are believed, are asked on the connection on which that was
//! said: it leads to the same instance as long as it lasts, whoever has taken the socket meanwhile. Podman takes longer to
//! say which instance it is than to do all the rest of a start.
//!
//! Invariant: a proof is used within [`KEPT`] or not at all, so that nothing that a supervisor does later rests on it.
use crate::{
    engine::Engine, error::unreachable, http::Session, labels, observe::Summary, runtime::ContainerRuntime,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use wharf_sdk::Result;

/// How long after the proof something is asked on its connection: the time of a start.
const KEPT: Duration = Duration::from_secs(15);

/// A connection on which an engine has said which instance it is, so that all that it says there is that instance's word.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) instance: String,
    pub(crate) session: Session,
    since: Instant,
}

impl Proven {
    pub(crate) fn new(instance: String, session: Session) -> Self {
        Self { instance, session, since: Instant::now() }
    }

    fn is_recent(&self) -> bool {
        self.since.elapsed() < KEPT
    }
}

/// The proof that was asked for last; nobody has it while something is asked on its connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<Mutex<Option<Proven>>>);

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Option<Proven>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In the place of every earlier one. The engine's side of the connection ends with its time.
    fn put(&self, proven: Proven) {
        let since = proven.since;
        *self.lock() = Some(proven);
        let kept = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(since + KEPT).await;
            kept.lock().take_if(|proven| proven.since == since);
        });
    }

    fn take(&self) -> Option<Proven> {
        self.lock().take().filter(|proven| proven.is_recent() && proven.session.is_open())
    }

    /// Unless there is a newer one by now.
    fn put_back(&self, proven: Proven) {
        if proven.is_recent() {
            self.lock().get_or_insert(proven);
        }
    }
}

impl ContainerRuntime {
    /// Asks on a new connection, and keeps it.
    pub(crate) async fn prove_and_keep(&self, engine: &Engine) -> Result<String> {
        let proven = self.prove(engine).await?;
        let instance = proven.instance.clone();
        self.proven.put(proven);
        Ok(instance)
    }

    /// The containers with this host's label, and the instance that says so.
    pub(crate) async fn list_ours(&self, engine: &Engine) -> Result<(String, Vec<Summary>)> {
        let labels = [format!("{}={}", labels::HOST_ID, self.host_id)];
        if let Some(mut proven) = self.proven.take()
            && let Ok(seen) = engine.list_on(&mut proven.session, &labels).await
        {
            let instance = proven.instance.clone();
            self.proven.put_back(proven);
            return Ok((instance, seen));
        }
        let mut proven = self.prove(engine).await?;
        let seen = engine.list_on(&mut proven.session, &labels).await;
        let seen = seen.map_err(|error| self.failed("the containers cannot be listed", &error))?;
        Ok((proven.instance, seen))
    }

    async fn prove(&self, engine: &Engine) -> Result<Proven> {
        let socket = self.socket()?;
        engine.prove().await.map_err(|error| {
            *self.known() = None;
            unreachable(self.flavor, socket, &error)
        })
    }
}
