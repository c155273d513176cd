//! What runs beside the victim: its engine, and two workloads of other runtimes that no kill may harm.
use std::collections::BTreeMap;
use std::path::PathBuf;
use wharf_tests::engine::{Object, ScriptedEngine, State, records};
use wharf_tests::host::{Host, demo_server, runs};

/// The bystanders' names.
const BYSTANDERS: [&str; 2] = ["plain", "two"];
/// The runtime of the victim.
pub(super) const RUNTIME: &str = "scripted-one";

/// The engines of both scripted runtimes, and the bystanders as they were at the beginning.
pub(super) struct Beside {
    pub(super) one: ScriptedEngine,
    two: ScriptedEngine,
    records: BTreeMap<PathBuf, (u64, String)>,
    objects: Vec<Object>,
    processes: Vec<i32>,
    leftovers: Vec<String>,
}

impl Beside {
    pub(super) fn new(host: &Host) -> Self {
        let one = ScriptedEngine::new(host, RUNTIME);
        let two = ScriptedEngine::new(host, "scripted-two");
        host.run(&["--runtime", "scripted-two", "--name", "two", "sh"]);
        host.run(&["--runtime", "process", "--name", "plain", &demo_server()]);
        let (objects, processes, leftovers) = (two.objects(), host.processes(), host.leftovers());
        Self { records: bystanders(host), one, two, objects, processes, leftovers }
    }

    /// Whether a process is a bystander's.
    pub(super) fn has_process(&self, pid: i32) -> bool {
        self.processes.contains(&pid)
    }

    /// Whether a file is a bystander's.
    pub(super) fn has_file(&self, path: &str) -> bool {
        self.leftovers.iter().any(|known| known == path)
    }

    /// The victim's objects, whatever they do.
    pub(super) fn victims(&self) -> Vec<Object> {
        self.one.objects()
    }

    /// The bystanders run as before, and not one byte of their records has changed.
    pub(super) fn check(&self, host: &Host) -> Result<(), String> {
        if bystanders(host) != self.records {
            return Err(format!("a bystander's record has changed: {:?}", bystanders(host)));
        }
        if self.two.objects() != self.objects {
            return Err(format!("a bystander's object has changed: {:?}", self.two.objects()));
        }
        match self.processes.iter().find(|pid| !runs(**pid)) {
            Some(pid) => Err(format!("the bystanders' process {pid} has ended")),
            None => Ok(()),
        }
    }

    /// What the victim's engine has of it, in words.
    pub(super) fn told(&self) -> String {
        let words = self.victims().into_iter().map(|object| match object.state {
            State::Created => "created",
            State::Running => "running",
            State::Stopped => "stopped",
            State::Removing => "going away",
            State::Unknown => "doing who knows what",
        });
        let words: Vec<_> = words.collect();
        if words.is_empty() { "no object".to_owned() } else { format!("object {}", words.join(" and ")) }
    }
}

fn bystanders(host: &Host) -> BTreeMap<PathBuf, (u64, String)> {
    let mut found = records(host);
    found.retain(|path, _| {
        path.file_stem().and_then(|name| name.to_str()).is_some_and(|name| BYSTANDERS.contains(&name))
    });
    found
}
