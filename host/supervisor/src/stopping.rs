//! Ends the workload, with one `stop` of its plugin and one listing that shows that it has ended.
use crate::effects::Performer;
use crate::machine::{At, Behalf, During, Ending, Event, STDIN_GRACE, State};
use crate::outside::{Watched, ending};
use std::time::Duration;
use tokio::time::timeout as within;
use wharf_failpoint::{Point, reach};
use wharf_model::{Result, Transport};
use wharf_runtimes::RuntimeClient;
use wharf_sdk::{Exit, Handle};

/// How long a runtime may take to report the end that its own `stop` brought about.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// An end that was reported.
struct Told {
    exit: Exit,
    /// True if one listing of the recorded instance has shown it already.
    is_proven: bool,
}

impl Performer<'_> {
    /// Ends the workload in the order of the protocol: clients are answered, stdin is closed, then the plugin stops it.
    /// [`Event::Exited`] if that is proven, else [`Event::Done`].
    pub(crate) async fn stop(&mut self, timeout: Duration, state: &State) -> Result<Event> {
        if state.at == At::Stopping(Behalf::Request, During::Run) {
            reach(Point::StopHeard);
        }
        let watched = self.watched.clone();
        let deployment = self.deployment()?;
        if let (Some(servers), At::Stopping(Behalf::Request | Behalf::Signal, _)) =
            (&deployment.session_servers, state.at)
        {
            servers.close().await;
        }
        if let Some(proxy) = &deployment.proxy {
            proxy.close_upstream(wharf_proxy::SERVER_STOPPED).await;
        }
        let Some(handle) = deployment.handle.clone() else { return Ok(Event::Done) };
        let client = deployment.client.clone();
        // Only a server on stdio ends when its stdin is closed. An engine that restarts workloads would bring it back.
        let by_itself = match deployment.run.transport {
            Transport::Stdio if !timeout.is_zero() && !deployment.restarts_itself() => {
                let told = told(&client, &handle, watched.as_ref());
                within(timeout.min(STDIN_GRACE), told).await.ok().flatten()
            }
            _ => None,
        };
        // The plugin's `stop` is called even if the workload ended by itself: it may have left children, for instance.
        client.stop(&handle, if by_itself.is_some() { Duration::ZERO } else { timeout }).await?;
        let told = match (by_itself, &watched) {
            (Some(told), _) => Some(told),
            (None, Some(_)) => {
                within(EXIT_WAIT, told(&client, &handle, watched.as_ref())).await.ok().flatten()
            }
            (None, None) => None,
        };
        // An engine that restarts workloads may have been about to, when this end was seen: a listing must show that it does not.
        let is_proven = told.as_ref().is_some_and(|told| told.is_proven && !told.exit.restarts);
        self.stopped = told.map(|told| Exit { restarts: false, ..told.exit });
        Ok(if is_proven { Event::Exited(self.is_stopped(state).await) } else { Event::Done })
    }

    /// Proves that the workload has ended on the recorded instance, and asks for its exit if it is not known.
    pub(crate) async fn prove_stopped(&mut self, state: &State) -> Result<Event> {
        self.deployment()?.prove_ended().await?;
        if self.stopped.is_none() {
            self.stopped = Some(self.deployment()?.exit().await.unwrap_or_default());
        }
        Ok(Event::Exited(self.is_stopped(state).await))
    }

    /// The end of the stopped workload. A server whose engine went away closes its output before its end is noticed. If it
    /// was stopped for that reason, it has not completed, whatever its exit code.
    async fn is_stopped(&mut self, state: &State) -> Ending {
        if let At::Stopping(Behalf::Request, During::Run) | At::ProvingStopped(Behalf::Request, During::Run) =
            state.at
        {
            reach(Point::StopDone);
        }
        let was_away = match &self.watched {
            Some(watched) => watched.end.lock().await.was_away(),
            None => false,
        };
        ending(self.stopped.get_or_insert_default(), was_away, self.up_since)
    }
}

/// Waits for its end. If the supervisor already waits for it since the workload is up, that wait is used, and its answer is
/// proven by a listing.
async fn told(client: &RuntimeClient, handle: &Handle, watched: Option<&Watched>) -> Option<Told> {
    match watched {
        Some(watched) => {
            let mut end = watched.end.lock().await;
            let exit = end.exit().await;
            Some(Told { exit, is_proven: end.is_proven() })
        }
        None => client.wait(handle).await.ok().map(|exit| Told { exit, is_proven: false }),
    }
}
