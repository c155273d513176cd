//! The commands in which a process is killed, and the state before them.
use super::kill::Kill;
use super::lab::{GARBAGE, Kind, Lab, NAME, ORPHAN_LIMIT, pid_in, read_json, write};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};
use wharf_tests::client::Client;
use wharf_tests::engine::{ScriptedEngine, State, toolhives};
use wharf_tests::host::{Said, demo_server, runs};
use wharf_tests::toolhive::ToolHive;

/// A file of this size is put aside before the next line.
const FULL_LOG_BYTES: u64 = 10 * 1024 * 1024;
/// The point at which a supervisor dies so that its launcher gives up.
const ABANDONS: &str = "supervisor/handle.recorded:1=kill";

/// A command, and the state before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    Run,
    /// A server that ends at once, or an engine that refuses to start it: the start is given up.
    RunBroken,
    /// The supervisor is killed too, before its workload's code runs: the launcher gives up by itself.
    RunAbandoned,
    Stop,
    Start,
    /// A start of a workload with full logs.
    StartFullLogs,
    Restart,
    /// A restart after which `reconcile` alone brings the workload back.
    RestartReconciled,
    Rm,
    /// A removal of a workload without supervisor: the command itself ends it.
    RmOrphan,
    /// A workload that lost its supervisor is brought back.
    Reconcile,
    /// An end that nobody saw is recorded.
    ReconcileEnd,
    /// A stop that was interrupted is finished.
    ReconcileStop,
    /// A removal that was interrupted is finished.
    ReconcileRemove,
    /// The owner of a workload that has none is recorded.
    ReconcileAdopt,
    /// The same by command.
    Adopt,
    /// An owner is moved to another instance.
    Rebind,
    Forget,
    /// The supervisor does not answer and is killed.
    ForgetMute,
    /// A forgotten workload that runs on is removed.
    Orphan,
    /// A start over a corrupt status record.
    SetAside,
    /// A workload of ToolHive's is copied.
    Import,
    /// The workload ends by itself, and its supervisor brings it back.
    Restarts,
    /// The launcher is killed, and its workload's processes come to the supervisor.
    LauncherDies,
    /// The workload ends by itself, and its supervisor records that.
    Ends,
    /// A client opens a session, which gets a server of its own, and leaves.
    Session,
    /// What it is, is changed.
    Edit,
    /// The same, and the changed server does not get ready: it is undone.
    EditBroken,
}

impl Act {
    const ALL: [Self; 28] = [
        Self::Run,
        Self::RunBroken,
        Self::RunAbandoned,
        Self::Stop,
        Self::Start,
        Self::StartFullLogs,
        Self::Restart,
        Self::RestartReconciled,
        Self::Rm,
        Self::RmOrphan,
        Self::Reconcile,
        Self::ReconcileEnd,
        Self::ReconcileStop,
        Self::ReconcileRemove,
        Self::ReconcileAdopt,
        Self::Adopt,
        Self::Rebind,
        Self::Forget,
        Self::ForgetMute,
        Self::Orphan,
        Self::SetAside,
        Self::Import,
        Self::Restarts,
        Self::LauncherDies,
        Self::Ends,
        Self::Session,
        Self::Edit,
        Self::EditBroken,
    ];

    /// The acts that are tried on this runtime.
    pub(super) fn of(kind: Kind) -> impl Iterator<Item = Self> {
        // The engine of ToolHive's container is one of its own, so the kind of lab does not matter.
        let of_processes = [
            Self::RunAbandoned,
            Self::StartFullLogs,
            Self::LauncherDies,
            Self::Import,
            Self::Session,
            Self::EditBroken,
        ];
        // Real engines are slow, and the other kinds show everything that does not depend on an engine.
        let of_podman = [Self::Run, Self::Stop, Self::Start, Self::Rm];
        let of_docker =
            [&of_podman[..], &[Self::Restart, Self::Reconcile, Self::Restarts, Self::Edit]].concat();
        Self::ALL.into_iter().filter(move |act| match kind {
            Kind::Process => true,
            Kind::Scripted => !of_processes.contains(act),
            Kind::Docker => of_docker.contains(act),
            Kind::Podman => of_podman.contains(act),
        })
    }

    /// Whether nothing of the workload runs when it is done.
    pub(super) fn ends_everything(self) -> bool {
        matches!(
            self,
            Self::Stop
                | Self::Rm
                | Self::RmOrphan
                | Self::RunBroken
                | Self::RunAbandoned
                | Self::ReconcileStop
                | Self::ReconcileRemove
                | Self::Forget
                | Self::Orphan
                | Self::Ends
        )
    }

    /// Whether what runs may be unknown for a while, since that was the wish.
    pub(super) fn forgets(self) -> bool {
        matches!(self, Self::Forget | Self::ForgetMute | Self::Orphan)
    }

    /// Whether there may be no owner, or another one, when it is interrupted.
    pub(super) fn records_owner(self) -> bool {
        matches!(self, Self::Adopt | Self::ReconcileAdopt | Self::Rebind)
    }

    /// Whether this kill makes a scenario of its own.
    pub(super) fn can_have(self, kill: &Kill) -> bool {
        match self {
            // There is no command, so only processes of before can be armed.
            Self::Restarts | Self::LauncherDies | Self::Ends | Self::Session => kill.was_there,
            Self::RunAbandoned => kill.role != "supervisor",
            _ => true,
        }
    }
}

impl Lab {
    /// Prepares the state before the command.
    pub(super) fn prepare(&self, act: Act, variable: Option<&str>) -> Result<(), String> {
        match act {
            Act::Run | Act::RunBroken | Act::RunAbandoned => {}
            Act::Stop | Act::Restart | Act::Rm | Act::Forget | Act::Ends | Act::Edit | Act::EditBroken => {
                drop(self.run("no", variable)?);
            }
            Act::Restarts | Act::RestartReconciled => drop(self.run("always", variable)?),
            Act::LauncherDies => {
                let text = format!("sleep 1000 >/dev/null 2>&1 </dev/null & exec {}", demo_server());
                let family = self.host.script("family", &text);
                // In a namespace of its own, none of its processes would come back.
                let profile = self.host.path("privileged.json");
                write(&profile, br#"{"privileged":true}"#);
                let profile = profile.display().to_string();
                let usual = ["run", "--restart", "always", "--name", NAME, "--permission-profile", &profile];
                self.wharf(&[&usual[..], &[&family]].concat(), variable)?;
            }
            Act::Start | Act::StartFullLogs | Act::SetAside => {
                self.run("no", None)?;
                self.wharf(&["stop", NAME], None)?;
                self.prepare_start(act);
            }
            Act::RmOrphan | Act::Reconcile => {
                self.run_alone(variable)?;
                self.kill_supervisor();
            }
            Act::ReconcileEnd => {
                self.run("no", variable)?;
                self.kill_supervisor();
                self.kill_workload();
                self.await_nothing_runs()?;
            }
            Act::ReconcileStop => {
                self.run("no", variable)?;
                self.wharf(&["stop", NAME], Some("command/stop.recorded=kill"))?;
            }
            Act::ReconcileRemove => {
                self.run("no", None)?;
                self.wharf(&["rm", NAME], Some("command/removal.recorded=kill"))?;
            }
            Act::Adopt | Act::ReconcileAdopt | Act::Rebind => {
                self.run_alone(variable)?;
                let Ok(mut config) = read_json(&self.config_file()) else { return Ok(()) };
                match act {
                    Act::Rebind => config["runtime_instance"] = Value::from("the engine before"),
                    _ => config["runtime_name"] = Value::from(""),
                }
                write(&self.config_file(), config.to_string().as_bytes());
            }
            Act::ForgetMute => {
                self.run_alone(variable)?;
                let _ = fs::remove_file(self.host.path(&format!("state/control/{NAME}.sock")));
            }
            Act::Orphan => {
                self.run_alone(None)?;
                self.wharf(&["rm", "--forget", NAME], None)?;
            }
            Act::Import => self.make_toolhives(),
            Act::Session => {
                let usual = ["run", "--restart", "no", "--name", NAME, "--runtime", self.kind.runtime()];
                let server = ["--instances", "per-session", &self.kind.server()];
                self.wharf(&[&usual[..], &server].concat(), variable)?;
            }
        }
        Ok(())
    }

    fn prepare_start(&self, act: Act) {
        if act == Act::SetAside {
            write(&self.status_file(), GARBAGE);
        }
        if act == Act::StartFullLogs {
            for log in [format!("{NAME}.log"), format!("{NAME}.proxy.log")] {
                let file = fs::OpenOptions::new().append(true).open(self.host.path("state/logs").join(log));
                file.and_then(|file| file.set_len(FULL_LOG_BYTES)).unwrap();
            }
        }
    }

    pub(super) fn act(&self, act: Act, variable: Option<&str>) -> Result<Said, String> {
        match act {
            Act::Run => self.run("no", variable),
            Act::RunBroken => self.run_broken(variable),
            Act::RunAbandoned => {
                let both = variable.map(|variable| format!("{ABANDONS},{variable}"));
                self.run("no", Some(both.as_deref().unwrap_or(ABANDONS)))
            }
            Act::Stop => self.wharf(&["stop", NAME], variable),
            Act::Start | Act::StartFullLogs | Act::SetAside => self.wharf(&["start", NAME], variable),
            Act::Import => self.wharf(&["import", "toolhive"], variable),
            Act::Restart | Act::RestartReconciled => self.wharf(&["restart", NAME], variable),
            Act::Rm | Act::RmOrphan => self.wharf(&["rm", NAME], variable),
            Act::Reconcile
            | Act::ReconcileEnd
            | Act::ReconcileStop
            | Act::ReconcileRemove
            | Act::ReconcileAdopt => self.wharf(&["reconcile"], variable),
            Act::Adopt => self.wharf(&["adopt", NAME], variable),
            Act::Rebind => {
                self.wharf(&["adopt", NAME, "--runtime", self.kind.runtime(), "--rebind"], variable)
            }
            Act::Forget | Act::ForgetMute => self.wharf(&["rm", "--forget", NAME], variable),
            Act::Orphan => match self.orphans()?.pop() {
                Some(orphan) => self.wharf(&["rm", "--orphan", &orphan], variable),
                // A kill at random may have ended it, or the doctor. The points of its removal are to be reached
                // by name, too.
                None => Ok(silence()),
            },
            Act::Restarts | Act::LauncherDies | Act::Ends => self.end_server(act),
            Act::Session => self.visit(),
            // Another way to its image lets it be fetched while the old server runs.
            Act::Edit if self.kind == Kind::Docker => {
                self.wharf(&["edit", NAME, "-e", "EDITED=1", "--pull", "never"], variable)
            }
            Act::Edit => self.wharf(&["edit", NAME, "-e", "EDITED=1"], variable),
            Act::EditBroken => {
                let broken = self.host.script("broken", "exit 3");
                self.wharf(&["edit", NAME, "--server", &broken], variable)
            }
        }
    }

    /// A workload of ToolHive's that runs, on an engine that was made for it.
    fn make_toolhives(&self) {
        let engine = ScriptedEngine::new(&self.host, "scripted-images");
        engine.clear();
        engine.put(&toolhives(NAME, State::Running, engine.first_name()));
        ToolHive::of(&self.host).workload(NAME, "example/scripted:1", &serde_json::json!({}));
    }

    fn run_broken(&self, variable: Option<&str>) -> Result<Said, String> {
        match &self.beside {
            Some(beside) => {
                beside.refuse_a_start();
                self.run("no", variable)
            }
            None => {
                let broken = self.host.script("broken", "exit 3");
                self.run_server("no", &broken, variable)
            }
        }
    }

    /// Ends the workload of a supervisor that is gone; a process on a pipe ends by itself.
    fn kill_workload(&self) {
        if let Some(beside) = &self.beside {
            beside.kill_victims();
        }
    }

    /// Kills the server, and waits until its supervisor has reacted, or for the supervisor's death.
    fn end_server(&self, act: Act) -> Result<Said, String> {
        let before = self.record().ok_or("it was never recorded")?;
        let handle = &before["handle"]["data"];
        let victim = if act == Act::LauncherDies { "launcher" } else { "workload" };
        let Some(supervisor) = pid_in(&before["process_id"]) else { return Ok(silence()) };
        match (&self.beside, pid_in(&handle[victim]["pid"])) {
            (Some(_), _) => self.kill_workload(),
            (None, Some(pid)) => self.host.kill_own(pid),
            (None, None) => return Ok(silence()),
        }
        let is_done = || !runs(supervisor) || act != Act::Ends && self.trace().contains(" restart.after ");
        let deadline = Instant::now() + ORPHAN_LIMIT;
        while !is_done() {
            if Instant::now() > deadline {
                return Err(format!("nothing was done about its end: {:?}", self.record()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(silence())
    }
}

impl Lab {
    /// A client comes and goes; and what the supervisor does about that, until nothing of it is on record, or its death.
    fn visit(&self) -> Result<Said, String> {
        let Some(supervisor) = self.record().and_then(|record| pid_in(&record["process_id"])) else {
            return Ok(silence());
        };
        let url = self.host.wharf(&["url", NAME]).stdout;
        // It gets as far as whoever was killed lets it.
        if let Ok(mut client) = Client::open(url.trim()) {
            let _ = client.call_tool("whoami", serde_json::json!({}));
            let _ = client.leave();
        }
        let is_over =
            || !runs(supervisor) || self.record().is_some_and(|record| record["session_servers"].is_null());
        let deadline = Instant::now() + ORPHAN_LIMIT;
        while !is_over() {
            if Instant::now() > deadline {
                return Err(format!("the server of a session stays: {:?}", self.record()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(silence())
    }
}

/// No command was needed.
fn silence() -> Said {
    Said { code: 0, stdout: String::new(), stderr: String::new() }
}
