//! [`Renewal`]: something that is made anew once it serves no more, such as credentials or a connection: once for all who wait for
//! it, and not again at once where that fails. It must not know what is made.
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// For so long a failure is the answer to all who ask: the making may take its time to fail, and ask a person.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(2);

/// What is held, and how it is renewed. Clones are the same.
pub(crate) struct Renewal<T, E> {
    state: Arc<Mutex<State<T, E>>>,
    /// The failure of a making that was not carried to its end.
    lost: fn() -> E,
}

struct State<T, E> {
    held: Option<T>,
    /// The making that is under way.
    running: Option<Making<T, E>>,
    /// When the last making ended.
    made: Option<Instant>,
    /// Its failure.
    failed: Option<E>,
}

/// A making, for all who wait for it.
type Making<T, E> = Shared<BoxFuture<'static, Result<T, E>>>;

impl<T, E> Clone for Renewal<T, E> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), lost: self.lost }
    }
}

impl<T, E> Renewal<T, E>
where
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Holds this, if it was made already.
    pub(crate) fn of(held: Option<T>, lost: fn() -> E) -> Self {
        let made = held.as_ref().map(|_| Instant::now());
        Self { state: Arc::new(Mutex::new(State { held, running: None, made, failed: None })), lost }
    }

    fn state(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As if the last making had ended so much earlier.
    #[cfg(test)]
    pub(crate) fn age(&self, by: Duration) {
        let mut state = self.state();
        state.made = state.made.and_then(|made| made.checked_sub(by));
    }

    /// What was made last.
    pub(crate) fn held(&self) -> Option<T> {
        self.state().held.clone()
    }

    /// What is held if it serves, by the time since the last making ended; else what is made anew, in the place of it.
    pub(crate) async fn get<F>(
        &self,
        serves: impl FnOnce(&T, Duration) -> bool,
        make: impl FnOnce(Option<T>) -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let making = {
            let mut state = self.state();
            let since = state.made.map_or(Duration::MAX, |made| made.elapsed());
            if let Some(held) = &state.held
                && serves(held, since)
            {
                return Ok(held.clone());
            }
            if let Some(why) = state.failed.as_ref().filter(|_| since < REMEMBERED) {
                return Err(why.clone());
            }
            let under_way = state.running.take().filter(|making| making.peek().is_none());
            let making = under_way.unwrap_or_else(|| self.begin(make(state.held.clone())));
            state.running = Some(making.clone());
            making
        };
        making.await
    }

    /// Begins a making, in a task of its own: a request that is given up must not end it for the others.
    fn begin(&self, make: impl Future<Output = Result<T, E>> + Send + 'static) -> Making<T, E> {
        let (renewal, lost) = (self.clone(), self.lost);
        let task = tokio::spawn(async move {
            let outcome = make.await;
            let mut state = renewal.state();
            (state.running, state.made) = (None, Some(Instant::now()));
            match &outcome {
                Ok(made) => (state.held, state.failed) = (Some(made.clone()), None),
                Err(why) => state.failed = Some(why.clone()),
            }
            outcome
        });
        async move { task.await.unwrap_or_else(|_| Err(lost())) }.boxed().shared()
    }
}
