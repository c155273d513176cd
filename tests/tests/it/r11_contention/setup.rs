//! The setup of the many processes: a host, its runtimes, and names that begin as workloads without owners.
use super::quiet;
use serde_json::json;
use wharf_tests::engine::{Object, ScriptedEngine};
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::{Host, demo_server};

/// A name is created on any of the runtimes, whichever it was on before.
pub(super) const NAMES: [&str; 6] = ["ant", "bee", "cat", "dog", "elk", "fox"];
/// These begin as workloads that run, one on each runtime, and have lost their owners.
pub(super) const LOST: [&str; 3] = [NAMES[0], NAMES[1], NAMES[2]];

/// The storage of a runtime that keeps objects.
pub(super) enum AnyEngine {
    Scripted(ScriptedEngine),
    Real(Engine),
}

/// The engines before the host: scripted ones behave when it clears up.
pub(super) struct Setup {
    engines: [AnyEngine; 2],
    /// The runtimes: plain processes, and those of the two engines.
    pub(super) runtimes: [&'static str; 3],
    /// Engines that do what others ask may miss a deadline.
    pub(super) may_be_late: bool,
    pub(super) host: Host,
}

impl Setup {
    /// Two scripted engines beside plain processes.
    pub(super) fn scripted() -> Self {
        let host = Host::new();
        let runtimes = ["process", "scripted-one", "scripted-two"];
        let engine = |name| AnyEngine::Scripted(ScriptedEngine::new(&host, name));
        let engines = [engine(runtimes[1]), engine(runtimes[2])];
        Self { engines, runtimes, may_be_late: false, host }.with_lost_workloads()
    }

    /// Docker and Podman beside plain processes; none if this machine lacks one of them.
    pub(super) fn real() -> Option<Self> {
        let (docker, podman) = (Engine::start(Kind::Docker)?, Engine::start(Kind::Podman)?);
        let host = Host::new();
        host.add_plugin("docker");
        let endpoint = |engine: &Engine| json!({ "endpoint": engine.endpoint() });
        host.configure(&json!({
            "runtimes": { "docker": endpoint(&docker), "podman": endpoint(&podman) },
        }));
        let engines = [AnyEngine::Real(docker), AnyEngine::Real(podman)];
        let runtimes = ["process", "docker", "podman"];
        Some(Self { engines, runtimes, may_be_late: true, host }.with_lost_workloads())
    }

    fn with_lost_workloads(self) -> Self {
        for (name, runtime) in LOST.into_iter().zip(self.runtimes) {
            self.host.run(&["--runtime", runtime, "--name", name, &server(runtime)]);
            quiet::strip_owner(&self.host, name);
        }
        self
    }

    /// Each engine's objects of this host, with the runtime's name.
    pub(super) fn objects(&self) -> Vec<(&'static str, Object)> {
        let mut found = Vec::new();
        for (engine, name) in self.engines.iter().zip(&self.runtimes[1..]) {
            let objects = match engine {
                AnyEngine::Scripted(engine) => engine.objects(),
                AnyEngine::Real(engine) => engine.objects_of(&self.host.id()),
            };
            found.extend(objects.into_iter().map(|object| (*name, object)));
        }
        found
    }
}

/// The SERVER for a workload of this runtime.
pub(super) fn server(runtime: &str) -> String {
    match runtime {
        "process" => demo_server(),
        "docker" | "podman" => DEMO_IMAGE.to_owned(),
        _ => "sh".to_owned(),
    }
}
