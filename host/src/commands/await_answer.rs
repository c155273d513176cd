//! [`Waiting`]: a person's wait for a workload's server. A request to end is heard at any time, whoever waits longer than a
//! moment is told what for, and a server that somebody has paused is not waited for.
//!
//! Called by the commands that ask a server. It must not know what they ask.
use crate::commands::context::Context;
use crate::commands::ends::Ends;
use crate::commands::list::view;
use crate::commands::lookup::read_run_config;
use crate::commands::view::WorkloadView;
use crate::server_client::Session;
use std::pin::pin;
use std::time::Duration;
use tokio::time::sleep;
use wharf_model::{Advice, EffectiveState, Error, ErrorKind, Result, WorkloadName};
use wharf_supervisor::Progress;

/// A server that has not answered by then is looked at: most answer sooner, and cost their owner no question.
const LOOKED_AT_AFTER: Duration = Duration::from_millis(300);
/// Whoever has waited so long is told what for.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// What an answer that does not come leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nothing: it only reads.
    ToRead,
    /// What nobody knows: it may be done yet.
    ToDo,
}

/// The wait of one command for one server.
pub(crate) struct Waiting<'a> {
    context: &'a Context,
    name: &'a WorkloadName,
    /// The command, for the error of one that is interrupted.
    command: &'static str,
    ends: Ends,
    progress: &'a mut dyn Progress,
    /// What its user was told last.
    told: String,
    /// The command ends without an answer.
    is_given_up: bool,
    /// What was asked last.
    asked: Asked,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(
        context: &'a Context,
        name: &'a WorkloadName,
        command: &'static str,
        ends: Ends,
        progress: &'a mut dyn Progress,
    ) -> Self {
        Self {
            context,
            name,
            command,
            ends,
            progress,
            told: String::new(),
            is_given_up: false,
            asked: Asked::ToRead,
        }
    }

    /// Waits for an answer. `what` says for which one, after "waiting for".
    ///
    /// # Errors
    /// Those of the answer; it was interrupted; or, where it only reads, somebody has paused the workload.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        asked: Asked,
        answer: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.asked = asked;
        let (context, name) = (self.context, self.name);
        let mut answer = pin!(answer);
        let mut look = pin!(async {
            sleep(LOOKED_AT_AFTER).await;
            hindrance(context, name).await
        });
        let mut moment = pin!(sleep(TOLD_AFTER));
        let (mut is_looked_at, mut is_told) = (false, false);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                () = self.ends.next() => {
                    self.is_given_up = true;
                    return Err(self.ends.interrupted(self.command));
                }
                seen = &mut look, if !is_looked_at => {
                    is_looked_at = true;
                    let Some(seen) = seen else { continue };
                    if seen.status == EffectiveState::Paused && asked == Asked::ToRead {
                        self.is_given_up = true;
                        return Err(paused(&seen));
                    }
                    self.warn(hindered(&seen));
                }
                () = &mut moment, if !is_told => {
                    is_told = true;
                    self.tell(format!("waiting for {what}"));
                }
            }
        }
    }

    /// True if the last wait has ended without an answer, since its user does not wait any more, or cannot get one.
    pub(crate) const fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// Ends the visit that was waited for.
    pub(crate) async fn close(self, session: Session) {
        // The server is to hear that a call was cancelled.
        if self.is_given_up && self.asked == Asked::ToRead {
            session.leave().await;
        } else {
            session.close().await;
        }
    }

    fn tell(&mut self, what: String) {
        if self.told != what {
            self.progress.step(&what);
            self.told = what;
        }
    }

    fn warn(&mut self, what: String) {
        if self.told != what {
            self.progress.warn(&what);
            self.told = what;
        }
    }
}

/// A workload that keeps its server from answering, as a list shows it; none if it runs, or if nobody can tell.
async fn hindrance(context: &Context, name: &WorkloadName) -> Option<WorkloadView> {
    let run = read_run_config(context, name).ok()?;
    // Nobody can tell of one without an owner, and every runtime would be asked.
    run.owner()?;
    let (row, _, _) = view(context, &run).await.ok()?;
    (!row.stale && row.status != EffectiveState::Running).then_some(row)
}

fn paused(seen: &WorkloadView) -> Error {
    let message = format!("{}; nothing was done", hindered(seen));
    Error::new(ErrorKind::Conflict, message).advise(Advice::Start { name: seen.name.clone() })
}

fn hindered(seen: &WorkloadView) -> String {
    let state = seen.status.as_str();
    if seen.status_context.is_empty() {
        format!("it is {state}")
    } else {
        format!("it is {state}: {}", seen.status_context)
    }
}
