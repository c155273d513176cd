//! The beginnings of the models. One model of everything would be too large to check; each of these has the participants
//! for one kind of interplay.

use crate::mutations::Rules;
use crate::state::{
    At, Budget, Command, Config, Engine, Place, Process, RUNTIMES, Record, Resource, State, Supervisor,
};
use wharf_model::Phase;

/// The state of a workload at the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The name is free.
    Absent,
    /// It runs, with a supervisor.
    Running,
    /// It was stopped.
    Stopped,
    /// Its supervisor was killed, and it ended since.
    Orphaned,
}

/// A set of initial states.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name in the statistics.
    pub name: &'static str,
    /// The beginnings of the first name. The second name, if there is one, runs on the second runtime.
    pub begins: Vec<Begin>,
    /// For each process the commands that it may be given: all combinations.
    pub commands: Vec<Vec<Command>>,
    /// The last process is given its command on the second name; all others on the first.
    pub apart: bool,
    /// The faults that may come.
    pub budget: Budget,
}

impl Scenario {
    /// All initial states.
    #[must_use]
    pub fn states(&self, rules: &Rules) -> Vec<State> {
        let mut combinations: Vec<Vec<Command>> = vec![vec![]];
        for menu in &self.commands {
            let longer = |one: &Vec<Command>| {
                let one = one.clone();
                menu.iter()
                    .map(move |command| one.iter().copied().chain([*command]).collect())
                    .collect::<Vec<_>>()
            };
            combinations = combinations.iter().flat_map(longer).collect();
        }
        let all = self.begins.iter().flat_map(|begin| combinations.iter().map(move |it| (*begin, it)));
        all.map(|(begin, commands)| self.state(begin, commands, rules)).collect()
    }

    fn state(&self, begin: Begin, commands: &[Command], rules: &Rules) -> State {
        let mut processes = [const { None }; crate::state::PROCESSES];
        for (number, (process, command)) in processes.iter_mut().zip(commands).enumerate() {
            let name = usize::from(self.apart && number + 1 == commands.len());
            *process = Some(Process::new(*command, name));
        }
        let mut state = State {
            places: [Place::default(), Place::default()],
            engines: [Engine::Recorded; RUNTIMES],
            processes: processes.map(|it| it.unwrap_or_else(|| Process::done(Command::List, 0))),
            supervisors: Default::default(),
            budget: self.budget,
            settling: None,
            ghost: crate::state::Ghost::default(),
        };
        state.settle_in(0, begin, rules);
        if rules.names > 1 {
            state.settle_in(1, Begin::Running, rules);
        }
        state
    }
}

impl State {
    /// Name `n` belongs to runtime `n`.
    fn settle_in(&mut self, name: usize, begin: Begin, rules: &Rules) {
        if begin == Begin::Absent {
            return;
        }
        let place = &mut self.places[name];
        let config = Config { uid: 1, owner: name };
        let running = begin == Begin::Running;
        let phase = if begin == Begin::Stopped { Phase::Stopped } else { Phase::Running };
        place.config = Some(config);
        place.creations = 1;
        place.objects = 1;
        // First, supervisor, handle, ready; and two more for a stop.
        let revision = if begin == Begin::Stopped { 6 } else { 4 };
        let wanted = begin != Begin::Stopped;
        place.status = Some(Record { uid: 1, revision, phase, wanted, handle: Some(1) });
        place.resources.push(Resource { runtime: name, uid: 1, object: 1, running });
        if running {
            place.life = Some(0);
            self.supervisors[name][0] = Some(Supervisor::up(config, 1, rules));
        }
    }

    /// True if any command is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.processes.iter().any(|process| process.at != At::Done)
    }
}

/// The commands that change the first name.
const CHANGES: [Command; 4] = [Command::Run(0), Command::Start, Command::Stop, Command::Remove];

/// Every beginning, and these commands.
fn from_everywhere(name: &'static str, commands: Vec<Vec<Command>>, budget: Budget) -> Scenario {
    let begins = vec![Begin::Absent, Begin::Running, Begin::Stopped, Begin::Orphaned];
    Scenario { name, begins, commands, apart: false, budget }
}

/// One command that changes a name.
#[must_use]
pub fn one_command(budget: Budget) -> Scenario {
    from_everywhere("one command", vec![CHANGES.to_vec()], budget)
}

/// Two commands that change the same name.
#[must_use]
pub fn two_commands(budget: Budget) -> Scenario {
    from_everywhere("two commands", vec![CHANGES.to_vec(); 2], budget)
}

/// A command on each of two names.
#[must_use]
pub fn two_names(budget: Budget) -> Scenario {
    Scenario { apart: true, ..from_everywhere("a command on each name", vec![CHANGES.to_vec(); 2], budget) }
}

/// Three commands that change the same name.
#[must_use]
pub fn three_commands(budget: Budget) -> Scenario {
    from_everywhere("three commands", vec![CHANGES.to_vec(); 3], budget)
}

/// A listing, and a command that changes a listed workload.
#[must_use]
pub fn reader_and_one(budget: Budget) -> Scenario {
    from_everywhere("list and a command", vec![vec![Command::List], CHANGES.to_vec()], budget)
}

/// A listing, and two commands that change a listed workload.
#[must_use]
pub fn reader_and_two(budget: Budget) -> Scenario {
    let commands = vec![vec![Command::List], CHANGES.to_vec(), CHANGES.to_vec()];
    from_everywhere("list and two commands", commands, budget)
}

/// A reconciliation, and a command on the same name.
#[must_use]
pub fn reconcile_and_one(budget: Budget) -> Scenario {
    from_everywhere("reconcile and a command", vec![vec![Command::Reconcile], CHANGES.to_vec()], budget)
}

/// A reconciliation, and two commands on the same name.
#[must_use]
pub fn reconcile_and_two(budget: Budget) -> Scenario {
    let commands = vec![vec![Command::Reconcile], CHANGES.to_vec(), CHANGES.to_vec()];
    from_everywhere("reconcile and two commands", commands, budget)
}
