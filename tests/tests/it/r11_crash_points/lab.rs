//! One host with one workload, used for one scenario after another.
use super::act::Act;
use super::beside::Beside;
use super::kill::Kill;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use wharf_tests::engines::{DEMO_IMAGE, Engine};
use wharf_tests::host::{Host, Said, demo_server};
use wharf_tests::toolhive::ToolHive;

/// No command of a test may take longer, whichever process was killed beside it.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// A process without a record must have ended by itself within this: a server without supervisor has 5 s between signals.
pub(super) const ORPHAN_LIMIT: Duration = Duration::from_secs(15);
/// The workload.
pub(super) const NAME: &str = "victim";
/// The contents of a corrupt status record.
pub(super) const GARBAGE: &[u8] = b"{ \"uid\": ";

/// On which runtime the victim runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The process runtime, alone.
    Process,
    /// A scripted runtime, beside another one and the process runtime.
    Scripted,
    /// Docker, beside the process runtime.
    Docker,
    /// Podman, likewise.
    Podman,
}

impl Kind {
    /// The runtime's name, for commands that want it.
    pub(super) fn runtime(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Scripted => "scripted-one",
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    pub(super) fn server(self) -> String {
        match self {
            Self::Process => demo_server(),
            Self::Scripted => "sh".to_owned(),
            Self::Docker | Self::Podman => DEMO_IMAGE.to_owned(),
        }
    }
}

/// The real engines that there are.
pub(super) type Engines = BTreeMap<Kind, Arc<Engine>>;

pub(super) struct Lab {
    pub(super) kind: Kind,
    /// Before the host, which clears up when it is dropped: its engines behave again by then.
    pub(super) beside: Option<Beside>,
    pub(super) host: Host,
}

impl Lab {
    pub(super) fn new(kind: Kind, engines: &Engines) -> Self {
        let host = Host::new();
        let beside = match kind {
            Kind::Process => {
                host.configure(&json!({ "proxy": short_reserve() }));
                None
            }
            Kind::Scripted => Some(Beside::scripted(&host)),
            Kind::Docker | Kind::Podman => Some(Beside::real(&host, &engines[&kind])),
        };
        Self { kind, beside, host }
    }

    pub(super) fn trace(&self) -> String {
        fs::read_to_string(self.host.path("trace")).unwrap_or_default()
    }

    pub(super) fn clear_trace(&self) {
        let _ = fs::remove_file(self.host.path("trace"));
    }

    /// The file that the killed process makes. All children of a supervisor are armed like it, so without this file every
    /// launcher of a restarted workload would die, and not one.
    pub(super) fn mark(&self) -> PathBuf {
        self.host.path("died")
    }

    pub(super) fn clear_mark(&self) {
        let _ = fs::remove_file(self.mark());
    }

    /// Runs a command, armed or not; an error if it does not end.
    pub(super) fn wharf(&self, args: &[&str], variable: Option<&str>) -> Result<Said, String> {
        let mut command = self.host.command(args);
        ToolHive::shown_to(&self.host, &mut command);
        command.env("WHARF_FAILPOINT_TRACE", self.host.path("trace"));
        if let Some(variable) = variable {
            command.env("WHARF_FAILPOINT", variable);
        }
        let said = fs::File::create(self.host.path("said")).unwrap();
        let mut child = command.stdout(Stdio::null()).stderr(said).spawn().unwrap();
        let deadline = Instant::now() + COMMAND_LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                return Err(format!("wharf {args:?} did not end"));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let stderr = fs::read_to_string(self.host.path("said")).unwrap();
        Ok(Said { code: status.code().unwrap_or(-1), stdout: String::new(), stderr })
    }

    /// A workload with this policy.
    pub(super) fn run(&self, restart: &str, variable: Option<&str>) -> Result<Said, String> {
        self.run_server(restart, &self.kind.server(), variable)
    }

    pub(super) fn run_server(
        &self,
        restart: &str,
        server: &str,
        variable: Option<&str>,
    ) -> Result<Said, String> {
        let runtime = self.kind.runtime();
        self.wharf(&["run", "--restart", restart, "--name", NAME, "--runtime", runtime, server], variable)
    }

    /// Starts a workload that goes on without its supervisor: a server with a port, or any workload of a scripted engine.
    pub(super) fn run_alone(&self, variable: Option<&str>) -> Result<Said, String> {
        if self.kind == Kind::Scripted {
            return self.run("no", variable);
        }
        let usual = ["run", "--restart", "no", "--name", NAME, "--runtime", self.kind.runtime()];
        let server = ["--transport", "streamable-http", &self.kind.server()];
        self.wharf(&[&usual[..], &server].concat(), variable)
    }

    pub(super) fn status_file(&self) -> PathBuf {
        self.host.path(&format!("state/statuses/{NAME}.json"))
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.host.path(&format!("state/runconfigs/{NAME}.json"))
    }

    pub(super) fn record(&self) -> Option<Value> {
        read_json(&self.status_file()).ok()
    }

    pub(super) fn is_known(&self) -> bool {
        self.config_file().exists()
    }

    /// The processes of the victim.
    pub(super) fn processes(&self) -> Vec<i32> {
        let mut found = self.host.processes();
        if let Some(beside) = &self.beside {
            found.retain(|pid| !beside.has_process(*pid));
        }
        found
    }

    pub(super) fn kill_supervisor(&self) {
        if let Some(pid) = self.record().and_then(|record| pid_in(&record["process_id"])) {
            self.host.kill_own(pid);
        }
    }

    pub(super) fn await_nothing_runs(&self) -> Result<(), String> {
        let deadline = Instant::now() + ORPHAN_LIMIT;
        loop {
            let mut running: Vec<_> = self.processes().into_iter().map(command_line).collect();
            running.extend(self.beside.iter().flat_map(Beside::running));
            if running.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("still running: {running:?}"));
            }
            std::thread::sleep(self.pause());
        }
    }

    /// The pause before another look: the objects of a real engine are listed by its client, which is slow.
    pub(super) fn pause(&self) -> Duration {
        let is_real = matches!(self.kind, Kind::Docker | Kind::Podman);
        Duration::from_millis(if is_real { 100 } else { 20 })
    }

    /// The names of orphans for `rm --orphan`, from the doctor, which asks every runtime.
    pub(super) fn orphans(&self) -> Result<Vec<String>, String> {
        let said = self.host.wharf(&["doctor", "--format", "json"]);
        if said.code == -1 {
            // The doctor was the process that was killed at random.
            return Ok(Vec::new());
        }
        let told: Value = serde_json::from_str(&said.stdout).map_err(|_| format!("doctor: {said:?}"))?;
        let checks = told["checks"].as_array().ok_or("the doctor names no checks")?;
        let orphans = checks.iter().filter(|check| check["check"] == "orphan");
        Ok(orphans
            .filter_map(|check| check["message"].as_str()?.split(' ').next().map(str::to_owned))
            .collect())
    }

    pub(super) fn remove_orphans(&self) -> Result<(), String> {
        for orphan in self.orphans()? {
            let said = self.wharf(&["rm", "--orphan", &orphan], None)?;
            if said.code != 0 {
                return Err(format!("rm --orphan {orphan}: code {}: {}", said.code, said.stderr));
            }
        }
        Ok(())
    }

    /// The points at which the processes of a command can be killed, each with true if an effect can fail there.
    pub(super) fn reached(&self, act: Act) -> Result<BTreeMap<Kill, bool>, String> {
        self.clear_trace();
        self.prepare(act, None)?;
        let before = self.trace();
        let earlier: BTreeSet<_> = before.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        self.act(act, None)?;
        // A supervisor's and a launcher's last steps come after their command.
        if act.ends_everything() {
            self.await_nothing_runs()?;
        }
        let trace = self.trace();
        self.behave();
        self.wharf(&["rm", NAME], None)?;
        if act.forgets() {
            self.remove_orphans()?;
        }
        self.await_nothing_runs()?;
        let mut kills = BTreeMap::new();
        for line in trace[before.len()..].lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [role, pid, point, nth, ref can_fail @ ..] = words[..] else { panic!("{line}") };
            let kill = Kill {
                role: role.to_owned(),
                point: point.to_owned(),
                nth: nth.parse().unwrap(),
                // A stage of an earlier command has become its server; in its namespace each has the same pid.
                was_there: role != "stage" && earlier.contains(pid),
            };
            kills.insert(kill, !can_fail.is_empty());
        }
        kills.retain(|kill, _| act.can_have(kill));
        Ok(kills)
    }

    /// No engine does anything out of the ordinary any more.
    pub(super) fn behave(&self) {
        if let Some(beside) = &self.beside {
            beside.behave();
        }
    }
}

/// Limits of proxies with a reserve for the next session that ends soon: what is left of a session waits for that.
pub(super) fn short_reserve() -> Value {
    json!({ "session_reserve_ms": 300 })
}

pub(super) fn pid_in(value: &Value) -> Option<i32> {
    i32::try_from(value.as_i64()?).ok()
}

pub(super) fn write(path: &Path, bytes: &[u8]) {
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

pub(super) fn read_json(path: &Path) -> Result<Value, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

pub(super) fn command_line(pid: i32) -> String {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{pid} {}", String::from_utf8_lossy(&text).replace('\0', " "))
}
