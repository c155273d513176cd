//! The victim's surroundings: its engine, and workloads of other runtimes, which no kill may harm.
use super::lab::{Kind, short_reserve};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use wharf_tests::engine::{Act as Order, Object, ScriptedEngine, State, records};
use wharf_tests::engines::Engine;
use wharf_tests::host::{Host, demo_server, runs};

/// The bystanders' names.
const BYSTANDERS: [&str; 2] = ["plain", "two"];

/// The engine of the victim.
enum AnyEngine {
    Scripted(ScriptedEngine),
    /// A real engine, and the id by which it knows the host among others.
    Real(Arc<Engine>, String),
}

/// The victim's engine, and the bystanders as they were at the beginning: one on a scripted engine, where the victim is
/// on one, and a plain process.
pub(super) struct Beside {
    one: AnyEngine,
    two: Option<ScriptedEngine>,
    records: BTreeMap<PathBuf, (u64, String)>,
    objects: Vec<Object>,
    processes: Vec<i32>,
    leftovers: Vec<String>,
}

impl Beside {
    /// On scripted engines.
    pub(super) fn scripted(host: &Host) -> Self {
        let one = ScriptedEngine::new(host, Kind::Scripted.runtime());
        let two = ScriptedEngine::new(host, "scripted-two");
        host.run(&["--runtime", "scripted-two", "--name", "two", "sh"]);
        Self::with_plain(host, |_| AnyEngine::Scripted(one), Some(two))
    }

    /// On a real engine, which many hosts share.
    pub(super) fn real(host: &Host, engine: &Arc<Engine>) -> Self {
        host.add_plugin("docker");
        let endpoint = json!({ "endpoint": engine.endpoint() });
        let runtimes = json!({ engine.kind().runtime(): endpoint });
        host.configure(&json!({ "runtimes": runtimes, "proxy": short_reserve() }));
        Self::with_plain(host, |id| AnyEngine::Real(Arc::clone(engine), id), None)
    }

    fn with_plain(host: &Host, one: impl FnOnce(String) -> AnyEngine, two: Option<ScriptedEngine>) -> Self {
        host.run(&["--runtime", "process", "--name", "plain", &demo_server()]);
        let objects = two.iter().flat_map(ScriptedEngine::objects).collect();
        let (processes, leftovers) = (host.processes(), host.leftovers());
        Self { records: bystanders(host), one: one(host.id()), two, objects, processes, leftovers }
    }

    /// Clears all orders of the engine.
    pub(super) fn behave(&self) {
        if let AnyEngine::Scripted(engine) = &self.one {
            engine.behave();
        }
    }

    /// The next start of a victim fails.
    pub(super) fn refuse_a_start(&self) {
        if let AnyEngine::Scripted(engine) = &self.one {
            engine.order_once("start", Order::Fail("internal".to_owned()));
        }
    }

    /// Ends the victims, none of which asked for it.
    pub(super) fn kill_victims(&self) {
        for object in self.victims() {
            match &self.one {
                AnyEngine::Scripted(engine) => engine.kill(&object, 9),
                AnyEngine::Real(engine, _) => engine.kill(&object),
            }
        }
    }

    /// The victims that a real engine runs; a scripted one's end with nobody's help.
    pub(super) fn running(&self) -> Vec<String> {
        let running = |object: &Object| object.state == State::Running;
        let AnyEngine::Real(..) = &self.one else { return Vec::new() };
        self.victims().into_iter().filter(running).map(|object| object.id).collect()
    }

    /// Whether a process is a bystander's.
    pub(super) fn has_process(&self, pid: i32) -> bool {
        self.processes.contains(&pid)
    }

    /// Whether a file is a bystander's.
    pub(super) fn has_file(&self, path: &str) -> bool {
        self.leftovers.iter().any(|known| known == path)
    }

    /// The victim's objects, in any state.
    pub(super) fn victims(&self) -> Vec<Object> {
        match &self.one {
            AnyEngine::Scripted(engine) => engine.objects(),
            AnyEngine::Real(engine, host_id) => engine.objects_of(host_id),
        }
    }

    /// The bystanders run as before, and not one byte of their records has changed.
    pub(super) fn check(&self, host: &Host) -> Result<(), String> {
        if bystanders(host) != self.records {
            return Err(format!("a bystander's record has changed: {:?}", bystanders(host)));
        }
        let objects: Vec<_> = self.two.iter().flat_map(ScriptedEngine::objects).collect();
        if objects != self.objects {
            return Err(format!("a bystander's object has changed: {objects:?}"));
        }
        match self.processes.iter().find(|pid| !runs(**pid)) {
            Some(pid) => Err(format!("the bystanders' process {pid} has ended")),
            None => Ok(()),
        }
    }

    /// The engine's objects of the victim, in words.
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
