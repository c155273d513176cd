//! Attaches again to a workload that runs on, or again, without its supervisor having started it: an engine that is restarted
//! may leave its containers running, but not their streams; and an engine that restarts workloads by itself is followed.
use crate::deployment::Deployment;
use crate::effects::Performer;
use crate::machine::Event;
use crate::outside::ending;
use crate::workload_proxy::WorkloadProxy;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wharf_model::{Error, ErrorKind, Result};
use wharf_runtimes::CallError;
use wharf_sdk::{ErrorCode, Exit, WorkloadState};

/// How long a server may take for the second handshake. It is up already.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server may take to answer when its engine tells of an end that may have been before it was attached.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

impl Deployment {
    /// Attaches to a running workload, and makes the handshake again.
    ///
    /// # Errors
    /// It does not run, cannot be attached, or does not answer: then nothing reaches it any more. Nor is one attached that
    /// somebody has started again since it was `up`: that is an end and another start.
    async fn reattach(&mut self, up: Duration) -> Result<()> {
        let failed = |why: &str| Error::new(ErrorKind::Runtime, why);
        let (Some(handle), Some(WorkloadProxy::Stdio(proxy))) = (&self.handle, &self.proxy) else {
            return Err(failed("it has no stream"));
        };
        self.prove_owner().await?;
        let seen = self.client.inspect(handle).await?;
        if seen.state != WorkloadState::Running {
            return Err(failed("it does not run"));
        }
        let is_later = |started_ms| Duration::from_millis(started_ms) > up;
        if !self.restarts_itself() && seen.started_at_ms.is_some_and(is_later) {
            return Err(failed("somebody has started it again"));
        }
        let stream = self.client.attach(handle).await?;
        let (stdout, stdin) = stream
            .into_sides()
            .map_err(|error| Error::caused(ErrorKind::Runtime, "the workload cannot be attached", &error))?;
        let answered = proxy.connect(stdout, stdin, HANDSHAKE_TIMEOUT).await;
        answered.map_err(|error| Error::caused(ErrorKind::Runtime, "it does not answer", &error))?;
        self.is_reattached = true;
        Ok(())
    }

    /// True if a server answers on the workload's stream though its engine has told of this end, after which it restarts the
    /// workload by itself.
    ///
    /// Situation: an engine was away, the workload has ended meanwhile and runs again, and its stream is back; only then the
    /// engine tells of the end. Conclusion: the server that ended is not the one that answers, which keeps its stream: the end
    /// of its input would end it, too. A stream that was never lost is that of the server that ended, even if it answers yet.
    pub(crate) async fn answers_after(&self, exit: &Exit) -> bool {
        let Some(proxy) = self.proxy.as_ref().filter(|_| self.is_reattached) else { return false };
        exit.restarts && proxy.ping(SIGN_OF_LIFE).await.is_ok()
    }

    /// The end of a workload that its engine restarts by itself, if the recorded instance shows it as ended now.
    async fn ended_by_now(&self) -> Option<Exit> {
        let handle = self.handle.as_ref().filter(|_| self.restarts_itself())?;
        self.prove_owner().await.ok()?;
        let exit = match self.client.inspect(handle).await {
            Ok(seen) if seen.state == WorkloadState::Stopped => seen.exit.unwrap_or_default(),
            Err(CallError::Answered(error)) if error.code == ErrorCode::NotFound => {
                Exit { reason: "its runtime no longer has it".to_owned(), ..Exit::default() }
            }
            _ => return None,
        };
        // If the engine leaves it so, that is recorded as its end, which takes a proof.
        if !exit.restarts {
            self.prove_ended().await.ok()?;
        }
        Some(exit)
    }
}

/// True if an end that the engine goes on after is the one that is known already. Where the engine has made another container
/// in the place of the one that ended, that does not run yet and says nothing of an end.
fn is_same_end(known: &Exit, seen: &Exit) -> bool {
    let says_nothing = seen.at_ms.is_none() && seen.code.is_none() && seen.signal.is_none();
    seen.restarts && (says_nothing || (seen.at_ms, seen.code) == (known.at_ms, known.code))
}

impl Performer<'_> {
    /// Attaches to a workload whose stream was lost and that runs on.
    pub(crate) async fn reattach(&mut self) -> Result<Event> {
        // By this machine's clock, which most engines share.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let up = since_epoch.saturating_sub(self.up_since.elapsed());
        let deployment = self.deployment()?;
        let Err(error) = deployment.reattach(up).await else {
            tracing::info!("the workload's stream was lost, and is back");
            return Ok(Event::Done);
        };
        if let Some(exit) = deployment.ended_by_now().await {
            return Ok(self.ended_meanwhile(exit));
        }
        tracing::debug!(%error, "it cannot be attached again");
        // While its engine is away, it goes on and is attached later.
        if error.kind != ErrorKind::Owner {
            tracing::warn!("nothing reaches the workload any more, and it runs on; it is ended");
        }
        Err(error)
    }

    /// Waits until the engine has started the workload again, and until the server answers. If it has ended once more
    /// meanwhile, or the engine leaves it so, that end is the answer.
    pub(crate) async fn follow(&mut self) -> Result<Event> {
        let known = self.exit.clone();
        let is_known = |exit: &Exit| is_same_end(&known, exit);
        let deployment = self.deployment()?;
        let ended = deployment.ended_by_now().await;
        if let Some(exit) = ended.clone().filter(|exit| !is_known(exit)) {
            return Ok(self.ended_meanwhile(exit));
        }
        if deployment.answers_after(&known).await {
            // An engine that still shows the end would tell of it once more, and so may one that was not heard.
            deployment.prove_owner().await?;
            return match ended {
                None => Ok(Event::Done),
                Some(_) => {
                    Err(Error::new(ErrorKind::Runtime, "its engine does not show yet that it runs again"))
                }
            };
        }
        let Err(error) = deployment.start().await else { return Ok(Event::Done) };
        if let Some(exit) = deployment.ended_by_now().await.filter(|exit| !is_known(exit)) {
            return Ok(self.ended_meanwhile(exit));
        }
        if self.followed_in_vain != error.message {
            tracing::warn!(name = %self.task.name, %error, "its engine has not brought it back yet");
            self.followed_in_vain.clone_from(&error.message);
        }
        self.last_failure.clone_from(&error.message);
        Err(error)
    }

    fn ended_meanwhile(&mut self, exit: Exit) -> Event {
        let ending = ending(&exit, false, self.up_since);
        // Between the last try that failed and this end it ran.
        self.last_failure.clear();
        self.stopped = Some(exit);
        Event::Exited(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::is_same_end;
    use wharf_sdk::Exit;

    #[test]
    fn a_followed_workload_that_was_replaced_has_not_ended_once_more() {
        let known = Exit { code: Some(3), at_ms: Some(7), restarts: true, ..Exit::default() };
        let pending = Exit { reason: "the pod is being made".to_owned(), restarts: true, ..Exit::default() };
        for (seen, is_same) in [
            (known.clone(), true),
            (pending.clone(), true),
            (Exit { at_ms: Some(8), ..known.clone() }, false),
            (Exit { code: Some(4), at_ms: Some(8), ..known.clone() }, false),
            // The engine leaves it so: that is its end.
            (Exit { restarts: false, ..known.clone() }, false),
            (Exit { restarts: false, ..pending }, false),
        ] {
            assert_eq!(is_same_end(&known, &seen), is_same, "{seen:?}");
        }
    }
}
