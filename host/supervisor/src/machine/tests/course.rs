//! [`reached`]: every state that the machine can reach, with every answer to its work and every event that it listens to.
//! Each step is checked against the conditions that must hold for all.
use crate::machine::table::next;
use crate::machine::*;
use std::collections::{HashSet, VecDeque};
use std::sync::LazyLock;
use std::time::Duration;
use wharf_model::{ErrorKind, RestartPolicy};

/// `UnlessStopped` is `Always` to the machine.
const POLICIES: [RestartPolicy; 3] = [RestartPolicy::No, RestartPolicy::OnFailure, RestartPolicy::Always];
/// One kind of error for each branch of the table.
const KINDS: [ErrorKind; 4] =
    [ErrorKind::Owner, ErrorKind::Conflict, ErrorKind::NotFound, ErrorKind::Runtime];

/// A machine, its work under way, and its history.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Course {
    pub(super) state: State,
    pub(super) work: Option<Work>,
    /// A request was heard and not answered.
    asked: bool,
    supervisor_recorded: bool,
    /// The handle of the deployment is on record.
    handle_recorded: bool,
    ready_recorded: bool,
    pub(super) ready: bool,
}

impl Course {
    fn begin(task: Task) -> Self {
        Self {
            state: State::new(task),
            work: None,
            asked: false,
            supervisor_recorded: false,
            handle_recorded: false,
            ready_recorded: false,
            ready: false,
        }
    }

    /// Everything that may happen next.
    fn events(&self, workload: Workload) -> Vec<Event> {
        let mut events = match self.work {
            Some(work) => answers(work, workload),
            None if self.state == State::new(self.state.task) => vec![Event::Begin],
            None => vec![],
        };
        let hears = self.state.hears();
        if hears.requests {
            let asks = [Ask::Stop(Duration::ZERO), Ask::Cancel, Ask::Leave, Ask::Report, Ask::ChangeAccess];
            events.extend(asks.map(Event::Request));
        }
        let outside = [
            (hears.signals, Event::Signalled),
            (hears.client, Event::ClientGone),
            (hears.config, Event::ConfigRemoved),
            (hears.stdout, Event::StdoutClosed),
        ];
        events.extend(outside.into_iter().filter(|(heard, _)| *heard).map(|(_, event)| event));
        if hears.exit {
            events.extend(endings_of(workload));
        }
        events
    }

    /// The course after an event, if its effects are right.
    pub(super) fn follow(mut self, event: Event) -> (Self, Vec<Effect>) {
        let from = self.state;
        let (state, effects) =
            next(self.state, event).unwrap_or_else(|| panic!("{from:?} knows nothing to do on {event:?}"));
        match (from.at, event) {
            (At::RecordingSupervisor, Event::Done) => self.supervisor_recorded = true,
            (At::RecordingHandle, Event::Done) => self.handle_recorded = true,
            (At::RecordingReady, Event::Done) => self.ready_recorded = true,
            _ => {}
        }
        let outside = matches!(
            event,
            Event::Request(_)
                | Event::Signalled
                | Event::ClientGone
                | Event::ConfigRemoved
                | Event::StdoutClosed
        );
        let outside =
            outside || matches!((from.at, event), (At::Running | At::StdoutClosed, Event::Exited(_)));
        if !outside {
            self.work = None;
        }
        if matches!(event, Event::Request(_)) {
            assert!(!self.asked, "{from:?} hears a request while another one waits");
            self.asked = true;
        }
        for (number, effect) in effects.iter().enumerate() {
            match effect {
                Effect::Answer(_) => {
                    assert!(self.asked, "{from:?} answers nobody on {event:?}");
                    self.asked = false;
                }
                Effect::Work(work) => {
                    assert_eq!(number + 1, effects.len(), "{from:?}: something follows on {work:?}");
                    self.begin_work(*work);
                }
                Effect::ReportReady => {
                    assert!(self.ready_recorded, "{from:?} reports what is not on record");
                    self.ready = true;
                }
                Effect::End => {
                    assert_eq!(number + 1, effects.len(), "{from:?} goes on after its end");
                    assert_eq!(state.at, At::Ended);
                    assert!(!self.asked, "{from:?} ends and leaves a request without an answer");
                    self.work = None;
                }
                _ => {}
            }
        }
        assert_eq!(state.at == At::Ended, effects.last() == Some(&Effect::End), "{from:?} on {event:?}");
        self.state = state;
        if matches!(state.at, At::Running | At::Ended) {
            assert_eq!(self.work, None, "{from:?} on {event:?}");
        } else {
            assert!(self.work.is_some(), "{from:?} waits for nothing after {event:?}");
        }
        if from.hears().requests && !outside && self.asked {
            assert!(!state.hears().requests, "{state:?} forgets a request");
        }
        (self, effects)
    }

    fn begin_work(&mut self, work: Work) {
        match work {
            Work::Deploy => {
                assert!(self.supervisor_recorded, "deployed by nobody who is on record");
                self.handle_recorded = false;
            }
            Work::Start => assert!(self.handle_recorded, "started and not on record (R12)"),
            Work::RecordEnd(_) => assert!(self.ready, "an end of what was never ready"),
            Work::RecordFailure(_) | Work::RemoveRecords => {
                assert!(!self.ready, "{work:?} of what was ready");
            }
            _ => {}
        }
        self.work = Some(work);
    }
}

pub(super) fn endings() -> Vec<Event> {
    let mut endings = Vec::new();
    for succeeded in [true, false] {
        for was_away in [true, false] {
            let ran_for = Duration::ZERO;
            endings.push(Event::Exited(Ending { succeeded, was_away, restarts: false, ran_for }));
        }
    }
    endings
}

/// Every end of a workload: only an engine that restarts it says that it does.
fn endings_of(workload: Workload) -> Vec<Event> {
    let mut endings = endings();
    if workload.restarts_itself {
        let (succeeded, was_away, ran_for) = (false, false, Duration::ZERO);
        endings.push(Event::Exited(Ending { succeeded, was_away, restarts: true, ran_for }));
    }
    endings
}

fn failures() -> impl Iterator<Item = Event> {
    KINDS.into_iter().map(Event::Failed)
}

/// Every answer that the run loop may give about something that was under way.
pub(super) fn answers(work: Work, workload: Workload) -> Vec<Event> {
    let done = |more: &[Event]| more.iter().copied().chain(failures()).collect();
    match work {
        Work::Wait(_) => vec![Event::Done],
        Work::CheckWanted => vec![Event::Wanted(true), Event::Wanted(false)],
        Work::Prepare => done(&[Event::Prepared(workload)]),
        Work::LookForEarlier => {
            let runs = (!workload.stdio).then_some(Event::Found(Earlier::Runs));
            let found = [Event::Found(Earlier::Nothing), Event::Found(Earlier::Left)];
            done(&found.into_iter().chain(runs).collect::<Vec<_>>())
        }
        Work::Deploy => {
            let mut events = vec![Event::Deployed { kept: false }];
            if workload.in_place {
                events.push(Event::Deployed { kept: true });
            }
            for kind in KINDS {
                let made = [Made::Nothing, Made::Unknown, Made::Late];
                events.extend(made.map(|made| Event::NotDeployed { kind, made }));
            }
            events
        }
        Work::Follow => done(&[vec![Event::Done], endings_of(workload)].concat()),
        Work::Reattach if workload.restarts_itself => {
            done(&[vec![Event::Done], endings_of(workload)].concat())
        }
        Work::AskExit | Work::ProveStopped => done(&endings()),
        Work::Stop(_) => done(&[vec![Event::Done], endings()].concat()),
        Work::Remove => done(&[Event::Removed { any: true }, Event::Removed { any: false }]),
        Work::Settle => done(&[Event::Settled { came: true }, Event::Settled { came: false }]),
        _ => done(&[Event::Done]),
    }
}

/// One step: the state, the event, the effects, the next state.
pub(super) type Step = (State, Event, Vec<Effect>, State);

/// Everything that can be reached.
pub(super) struct Reached {
    pub(super) courses: HashSet<Course>,
    /// In the order in which they were met first.
    pub(super) steps: Vec<Step>,
}

/// Explores once for all tests: everything that the machine can reach from any circumstances.
pub(super) fn reached() -> &'static Reached {
    static REACHED: LazyLock<Reached> = LazyLock::new(explore);
    &REACHED
}

fn explore() -> Reached {
    let mut reached = Reached { courses: HashSet::new(), steps: Vec::new() };
    let mut taken = HashSet::new();
    for (number, policy) in (0..128).flat_map(|number| POLICIES.map(|policy| (number, policy))) {
        let bit = |bit: u32| number & 1 << bit != 0;
        let task = Task { creates: bit(0), attended: bit(1), foreground: bit(2) };
        let workload =
            Workload { stdio: bit(3), survives: bit(5), in_place: bit(4), restarts_itself: bit(6), policy };
        if workload.stdio && workload.survives {
            continue;
        }
        for pauses in [Pauses::new(), Pauses::used_up()] {
            // A set for each workload: its properties are no part of the task, since they come with an event.
            let mut seen = HashSet::new();
            let mut open = VecDeque::from([Course::begin(task)]);
            while let Some(course) = open.pop_front() {
                for event in course.events(workload) {
                    let (mut following, effects) = course.follow(event);
                    // The number of attempts does not matter here; the tests of `Pauses` cover it.
                    following.state.pauses = pauses;
                    following.state.restarts = 0;
                    if taken.insert((course.state, event, following.state)) {
                        reached.steps.push((course.state, event, effects, following.state));
                    }
                    if seen.insert(following) {
                        open.push_back(following);
                    }
                }
            }
            reached.courses.extend(seen);
        }
    }
    reached
}
