//! The loop around the machine: waits for the next event (`outside.rs`), passes it to [`step`], and performs the effects
//! (`effects.rs`). It decides nothing. `process.rs` calls it once, with the operation lock that the process inherited.
use crate::client::protocol::{StartMode, SupervisorRequest};
use crate::effects::Performer;
use crate::machine::{At, Effect, Event, Reply, State, Task, Work, step};
use crate::outside::{ClientGone, Outside};
use crate::progress::{Reporter, Told, heard};
use crate::report::{Reports, is_up};
use std::pin::pin;
use tokio::time::Instant;
use wharf_model::Result;
use wharf_records::{OperationLock, Store};
use wharf_sdk::Exit;

/// The command that started a supervisor.
pub(crate) struct StartContext {
    /// The command stays in its user's terminal, where an interrupt stops the workload.
    pub(crate) foreground: bool,
    /// Resolves when the command has gone. Then nobody waits for the start, which is given up; or, in the foreground, the
    /// workload is to be stopped.
    pub(crate) abandoned: ClientGone,
}

impl StartContext {
    /// The future that gives the start up, and the one that counts as a signal.
    fn split(self) -> (ClientGone, ClientGone) {
        let never: ClientGone = Box::pin(std::future::pending());
        if self.foreground { (never, self.abandoned) } else { (self.abandoned, never) }
    }
}

/// Starts the workload and supervises it until its end. An error means that it could not be started, and that everything of
/// the start has been cleared up. Holds the operation lock until the workload is ready, the life lock to the end.
pub(crate) async fn supervise(
    task: &SupervisorRequest,
    operation: OperationLock,
    reporter: &mut dyn Reporter,
    context: StartContext,
) -> Result<()> {
    let state = State::new(Task {
        creates: task.mode == StartMode::Create,
        attended: task.attended,
        foreground: context.foreground,
    });
    let (client_gone, left) = context.split();
    let (listener, events) = heard();
    let up_since = Instant::now();
    let performer = Performer {
        task,
        life: None,
        operation: Some(operation),
        events: Some(listener),
        left: Some(left),
        deployment: None,
        opened: None,
        listener: None,
        socket_file: None,
        serving: None,
        watched: None,
        up_since,
        failure: None,
        kept: None,
        given_up: None,
        exit: Exit::default(),
        stopped: None,
        followed_in_vain: String::new(),
        last_failure: String::new(),
    };
    let outside = Outside {
        reporter,
        told: Told::new(events, task),
        client_gone,
        store: Store::new(task.config.state()),
        name: task.name.clone(),
        uid: task.uid.clone(),
        control: None,
        asked: None,
        reports: Reports::default(),
        watched: None,
        exit: None,
        up_since,
    };
    run(performer, outside, state).await
}

async fn run(mut performer: Performer<'_>, mut outside: Outside<'_>, mut state: State) -> Result<()> {
    let mut effects;
    (state, effects) = step(state, Event::Begin);
    loop {
        if let Some(deployment) = &performer.deployment {
            deployment.counts.note(state.restarts, !is_up(&state));
        }
        let mut work = None;
        for effect in effects {
            match effect {
                Effect::Work(begun) => work = Some(begun),
                Effect::End => return performer.end(&mut outside).await,
                effect => performer.now(effect, &state, &mut outside).await,
            }
        }
        if let Some(control) = performer.opened.take() {
            outside.control = Some(control);
        }
        outside.reports.last_failure.clone_from(&performer.last_failure);
        outside.reports.next_try = match work {
            Some(Work::Wait(pause)) if state.at == At::Pausing => Some(Instant::now() + pause),
            _ => None,
        };
        if outside.reports.next_try.is_some() {
            outside.reports.ends = outside.reports.ends.saturating_add(1);
        }
        if let Some(said) = work.and_then(|work| performer.announcement(work, &state)) {
            outside.reporter.progress(&said, None);
        }
        let begun = state;
        let mut doing = pin!(async {
            match work {
                Some(work) => performer.perform(work, &begun).await,
                None => std::future::pending().await,
            }
        });
        // Requests that change nothing are answered while the work goes on; the work of any other event replaces it.
        effects = loop {
            let (event, is_done) = tokio::select! {
                biased;
                event = outside.next(&state) => (event, false),
                event = &mut doing => (event, true),
            };
            let (next, effects) = step(state, event);
            tracing::debug!(from = ?state.at, ?event, to = ?next.at, "the supervisor goes on");
            state = next;
            if is_done || !effects.iter().all(changes_nothing) {
                break effects;
            }
            for effect in effects {
                if let Effect::Answer(reply) = effect {
                    outside.reply(reply, &state);
                }
            }
        };
    }
}

fn changes_nothing(effect: &Effect) -> bool {
    matches!(effect, Effect::Answer(Reply::Report | Reply::NotStarting | Reply::OutOfTurn))
}
