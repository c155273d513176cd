//! A supervisor: the host's own machine, driven. The machine decides; its effects are performed here and in
//! `performing.rs`, on the model's files, locks and engines.

use super::performing::{Progress, perform};
use crate::mutations::{Mutation, Rules, Waits};
use crate::state::{Answered, At, Config, Late, Process, State, Supervisor};
use std::time::Duration;
use wharf_model::{ErrorKind, RestartPolicy};
use wharf_supervisor::machine::{
    self, Ask, Effect, Ending, Event, Left, Made, Pauses, Reply, Task, Work, Workload, step as decide,
};

impl Supervisor {
    /// A supervisor that was just started.
    pub(crate) fn new(config: Config, creates: bool, rules: &Rules) -> Self {
        let attended = rules.waits != Waits::No;
        // Only a command that creates a workload can stay in the foreground.
        let task = Task { creates, attended, foreground: creates && rules.waits == Waits::Stays };
        let mut new = Self {
            uid: config.uid,
            owner: config.owner,
            machine: machine::State::new(task),
            todo: Vec::new(),
            halfway: false,
            base: None,
            handle: None,
            earlier: None,
            request: None,
            ready: false,
            ended: false,
        };
        new.learn(Event::Begin, rules);
        new
    }

    /// A supervisor whose workload is up.
    pub(crate) fn up(config: Config, handle: u8, rules: &Rules) -> Self {
        let mut up = Self::new(config, false, rules);
        up.machine.workload = workload(rules);
        (up.machine.at, up.machine.made) = (machine::At::Running, Made::Handle);
        (up.todo, up.handle, up.ready) = (Vec::new(), Some(handle), true);
        up
    }

    pub(crate) fn config(&self) -> Config {
        Config { uid: self.uid, owner: self.owner }
    }

    /// Its workload is up, and it waits for events.
    pub(crate) fn watches(&self) -> bool {
        self.machine.at == machine::At::Running && self.todo.is_empty()
    }

    /// Its control socket is there.
    pub(crate) fn listens(&self) -> bool {
        use machine::At::{Ended, OpeningControl, Preparing, TakingLife};
        !matches!(self.machine.at, TakingLife | Preparing | OpeningControl | Ended)
    }

    /// The work that is under way, or would be next.
    fn work(&self) -> Option<Work> {
        match self.todo.first() {
            Some(Effect::Work(work)) => Some(*work),
            _ => None,
        }
    }

    /// Asks the machine. Effects that nobody can see are left out.
    fn learn(&mut self, event: Event, rules: &Rules) {
        let (next, effects) = decide(self.machine, altered_event(event, rules));
        self.machine = next;
        self.machine.pauses = if rules.used_up { Pauses::used_up() } else { Pauses::new() };
        self.machine.restarts = 0;
        self.todo = effects.into_iter().map(|effect| altered(effect, rules)).filter(is_visible).collect();
        self.halfway = false;
        self.go_on(rules);
    }

    /// Work that nobody else can see is done as soon as it is next.
    fn go_on(&mut self, rules: &Rules) {
        match self.todo[..] {
            [Effect::Work(Work::OpenControl | Work::BindPort | Work::Wait(_))] => {
                self.learn(Event::Done, rules);
            }
            // Only a kept container is asked: its stdin was closed.
            [Effect::Work(Work::AskExit)] => self.learn(exited(true), rules),
            [Effect::Work(Work::RecordHandle)] if rules.has(Mutation::StartsUnrecorded) => {
                self.learn(Event::Done, rules);
            }
            _ => {}
        }
    }
}

fn is_visible(effect: &Effect) -> bool {
    let is_answer = matches!(effect, Effect::Answer(Reply::Ends | Reply::Stopped | Reply::Refused));
    is_answer || matches!(effect, Effect::Work(_) | Effect::ReportReady | Effect::End)
}

/// An effect that the machine asks for, changed by the mutation that is being tried.
fn altered(effect: Effect, rules: &Rules) -> Effect {
    match effect {
        Effect::Work(Work::RecordFailure(Left::Resource | Left::Interrupted))
            if rules.has(Mutation::GivesUpTheRecord) =>
        {
            Effect::Work(Work::RemoveRecords)
        }
        Effect::Work(Work::ProveGone) if rules.has(Mutation::EndedIsGone) => Effect::Work(Work::ProveEnded),
        effect => effect,
    }
}

/// An event for the machine, changed by the mutation that is being tried.
fn altered_event(event: Event, rules: &Rules) -> Event {
    match event {
        Event::NotDeployed { kind, made: Made::Late } if rules.has(Mutation::DeadlineIsFailure) => {
            Event::NotDeployed { kind, made: Made::Nothing }
        }
        event => event,
    }
}

pub(crate) fn workload(rules: &Rules) -> Workload {
    let policy = if rules.restarts { RestartPolicy::Always } else { RestartPolicy::No };
    Workload {
        stdio: !rules.resumed,
        survives: rules.resumed,
        in_place: rules.in_place,
        restarts_itself: false,
        policy,
    }
}

fn cut_off() -> Event {
    Event::Exited(Ending { succeeded: true, was_away: true, restarts: false, ran_for: Duration::ZERO })
}

pub(crate) fn exited(succeeded: bool) -> Event {
    Event::Exited(Ending { succeeded, was_away: false, restarts: false, ran_for: Duration::ZERO })
}

/// A supervisor, by its name and its position.
pub(crate) type Slot = (usize, usize);

/// A supervisor performs its next effect, and feeds back how that went.
pub(crate) fn step(state: &mut State, (name, slot): Slot, rules: &Rules) -> Option<()> {
    let mut mine = state.supervisors[name][slot].clone()?;
    match *mine.todo.first()? {
        Effect::Work(work) => match perform(state, (name, slot), &mut mine, work, rules)? {
            Progress::Halfway => mine.halfway = true,
            Progress::Over(event) => mine.learn(event, rules),
        },
        Effect::ReportReady => {
            state.places[name].operation.unlock(rules, |holder| holder.supervisor == Some(slot));
            mine.ready = true;
            mine.todo.remove(0);
            mine.go_on(rules);
        }
        Effect::Answer(reply) => {
            answer(state, name, reply);
            mine.todo.remove(0);
            mine.go_on(rules);
        }
        Effect::End => return end(state, (name, slot), mine, rules),
        _ => return None,
    }
    state.supervisors[name][slot] = Some(mine);
    Some(())
}

/// The command that asked for a stop hears the answer, if it still waits for one.
fn answer(state: &mut State, name: usize, reply: Reply) {
    let asks = |process: &&mut Process| process.name == name && process.at == At::AwaitEnd;
    if let Some(process) = state.processes.iter_mut().find(asks) {
        process.answer = match reply {
            Reply::Stopped => Some(Answered::Stopped),
            Reply::Refused => Some(Answered::Refused),
            _ => None,
        };
    }
}

/// Everything from outside that a supervisor may hear of now.
pub(crate) fn heard(state: &State, (name, slot): Slot, rules: &Rules) -> Vec<Event> {
    let Some(mine) = &state.supervisors[name][slot] else { return vec![] };
    // Effects that are done at once are done before it listens again.
    if !mine.todo.is_empty() && mine.work().is_none() {
        return vec![];
    }
    let (hears, place, budget) = (mine.machine.hears(), &state.places[name], state.budget);
    let Task { attended, foreground, .. } = mine.machine.task;
    let is_left = attended && !has_client(state, (name, slot));
    let runs = place.object(mine.handle).is_some_and(|resource| resource.running);
    let is_gone = place.config != Some(mine.config()) && !rules.has(Mutation::OutlivesItsRunConfig);
    let interrupted = budget.interruptions > 0;
    let possible = [
        (hears.requests, mine.request.map(Event::Request)),
        (hears.requests && mine.machine.is_starting() && interrupted, Some(Event::Request(Ask::Cancel))),
        (hears.requests && interrupted, Some(Event::Request(Ask::Leave))),
        // The end of the command that stays is as good as a signal.
        (hears.signals && (interrupted || foreground && is_left), Some(Event::Signalled)),
        (hears.client && !foreground && is_left, Some(Event::ClientGone)),
        (hears.config && is_gone, Some(Event::ConfigRemoved)),
        (hears.exit && state.answers(mine.owner) && !runs, Some(exited(rules.succeeds))),
        (hears.exit && state.answers(mine.owner) && !runs && may_be_cut_off(rules), Some(cut_off())),
        (hears.stdout && !rules.resumed && runs && budget.faults > 0, Some(Event::StdoutClosed)),
    ];
    possible.into_iter().filter(|(is_heard, _)| *is_heard).filter_map(|(_, event)| event).collect()
}

/// The command that started it waits for it, or stays with it.
fn has_client(state: &State, (name, slot): Slot) -> bool {
    let is_it =
        |process: &Process| process.at == At::Await && process.name == name && process.child == Some(slot);
    state.processes.iter().any(is_it)
}

/// A server on stdio that exits with code 0 has completed, or its engine went away and took its input along.
const fn may_be_cut_off(rules: &Rules) -> bool {
    rules.succeeds && !rules.resumed
}

/// A supervisor hears of something. What is under way is dropped.
pub(crate) fn hear(state: &mut State, (name, slot): Slot, event: Event, rules: &Rules) -> Option<()> {
    let mut mine = state.supervisors[name][slot].clone()?;
    match event {
        Event::Signalled if mine.machine.task.foreground && !has_client(state, (name, slot)) => {}
        Event::Request(Ask::Cancel | Ask::Leave) | Event::Signalled => state.budget.interruptions -= 1,
        Event::Request(_) => mine.request = None,
        Event::StdoutClosed => state.budget.faults -= 1,
        _ => {}
    }
    drop_work(state, name, &mine);
    mine.learn(event, rules);
    state.supervisors[name][slot] = Some(mine);
    Some(())
}

/// A deployment that is dropped, by an event or with its process, may have reached the engine: the resource appears at
/// once, later, or never.
pub(crate) fn drop_work(state: &mut State, name: usize, mine: &Supervisor) {
    if mine.work() == Some(Work::Deploy) && state.answers(mine.owner) {
        state.places[name].late = Some(Late { runtime: mine.owner, uid: mine.uid });
    }
}

/// An effect fails: it did not happen, or it did and is reported failed.
pub(crate) fn fail(state: &mut State, (name, slot): Slot, happened: bool, rules: &Rules) -> Option<()> {
    state.budget.faults = state.budget.faults.checked_sub(1)?;
    let mut mine = state.supervisors[name][slot].clone()?;
    let work = mine.work()?;
    let may_fail = !matches!(work, Work::CheckWanted | Work::TakeLife) && !mine.halfway;
    may_fail.then_some(())?;
    if happened {
        // A question has no effect that could have happened.
        let changes =
            matches!(work, Work::Deploy | Work::Start | Work::Stop(_) | Work::Remove | Work::PutAside);
        changes.then_some(())?;
        perform(state, (name, slot), &mut mine, work, rules)?;
    }
    let kind = ErrorKind::Runtime;
    let event = match work {
        Work::Deploy => {
            mine.handle = None;
            let made = if happened { Made::Unknown } else { Made::Nothing };
            Event::NotDeployed { kind, made }
        }
        _ => Event::Failed(kind),
    };
    mine.learn(event, rules);
    state.supervisors[name][slot] = Some(mine);
    Some(())
}

/// The deploy exceeds its deadline: nobody knows yet if it made something.
pub(crate) fn deploy_is_late(state: &mut State, (name, slot): Slot, rules: &Rules) -> Option<()> {
    state.budget.deadlines = state.budget.deadlines.checked_sub(1)?;
    let mut mine = state.supervisors[name][slot].clone()?;
    (mine.work() == Some(Work::Deploy) && state.answers(mine.owner)).then_some(())?;
    drop_work(state, name, &mine);
    mine.handle = None;
    mine.learn(Event::NotDeployed { kind: ErrorKind::Deadline, made: Made::Late }, rules);
    state.supervisors[name][slot] = Some(mine);
    Some(())
}

/// The supervisor ends, and its locks with it. If a command waits for its answer, it finds that there will be none.
fn end(state: &mut State, (name, slot): Slot, mut mine: Supervisor, rules: &Rules) -> Option<()> {
    let place = &mut state.places[name];
    place.life = place.life.filter(|holder| *holder != slot);
    place.operation.unlock(rules, |holder| holder.supervisor == Some(slot));
    let is_awaited =
        |process: &Process| process.at == At::Await && process.name == name && process.child == Some(slot);
    // Only the fact that it ended is kept.
    mine = Supervisor { ended: true, ready: mine.ready, ..Supervisor::new(mine.config(), false, rules) };
    mine.machine.at = machine::At::Ended;
    mine.todo.clear();
    state.supervisors[name][slot] = state.processes.iter().any(is_awaited).then_some(mine);
    Some(())
}
