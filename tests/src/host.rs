//! A real host in a temporary folder: the binary `wharf` with records of its own, and an eye on its processes.
use crate::json_forms;
use crate::library;
pub use crate::machine::{COMMAND_WAIT, has_tool, kill, output_of, process_of, program_of, runs};
use crate::machine::{has_open, is_zombie};
use crate::programs::wharf_alone;
pub use crate::programs::{built, demo_server};
use serde_json::Value;
use std::{
    fs,
    io::Write,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How long something that must happen may take before a test fails.
pub const EVENT_WAIT: Duration = Duration::from_secs(60);

/// The output of a command.
#[derive(Debug)]
pub struct Said {
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Said {
    /// From the output of its process.
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A host. When it is dropped, all of its workloads are removed and nothing of it may be running.
#[derive(Debug)]
pub struct Host {
    folder: tempfile::TempDir,
    /// Its user, if not this process's.
    user: Option<u32>,
    /// Whether nothing of it may make namespaces.
    is_bare: bool,
    /// Whether its home is that of the user who runs the tests.
    is_at_home: bool,
}

impl Host {
    /// A host with the process runtime and nothing else: it sees no engine of this machine, and its home is empty.
    #[expect(clippy::new_without_default, reason = "making one starts something")]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("wharf-").tempdir().expect("a temporary folder");
        let host = Self { folder, user: None, is_bare: false, is_at_home: false };
        fs::create_dir(host.path("plugins")).expect("a folder for plugins");
        fs::create_dir(host.work()).expect("a folder for workloads");
        fs::create_dir(host.path("home")).expect("a home");
        host.add_plugin("process");
        host
    }

    /// The same for another user; root alone can do that.
    pub fn of_user(user: u32) -> Self {
        let mut host = Self::new();
        host.user = Some(user);
        host.own();
        host
    }

    /// The same where no process may make namespaces, as in many a container.
    #[must_use]
    pub fn without_namespaces(mut self) -> Self {
        self.is_bare = true;
        self
    }

    /// The same in the home of the user who runs the tests, where npx, uvx and cargo keep the packages that they fetched
    /// once.
    #[must_use]
    pub fn with_users_home(mut self) -> Self {
        self.is_at_home = true;
        self
    }

    /// The folder that engines are looked for in, and nowhere else: empty.
    pub fn engines(&self) -> PathBuf {
        self.path("engines")
    }

    /// An engine's program where this host looks for engines, which serves nobody.
    pub fn install_engine(&self, program: &str) {
        fs::create_dir_all(self.engines()).expect("a folder for engines");
        fs::File::create(self.engines().join(program)).expect("a program can be made");
    }

    /// The user whose host it is, if that is not this process'.
    pub fn user(&self) -> Option<u32> {
        self.user
    }

    /// Gives every file that is in the host's folder now to its user.
    pub fn own(&self) {
        let Some(user) = self.user else { return };
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(path) = folders.pop() {
            std::os::unix::fs::lchown(&path, Some(user), Some(user)).expect("root gives files away");
            if path.is_dir() && !path.is_symlink() {
                let entries = fs::read_dir(&path).expect("the folder can be read");
                folders.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
            }
        }
    }

    /// A path in the host's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder in which workloads run: they may write it.
    pub fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// Puts a plugin of this build where the host finds it.
    pub fn add_plugin(&self, name: &str) {
        self.add_library(&format!("wharf-plugin-{name}"));
    }

    /// Puts the library of a package where the host finds it, and returns its path there.
    pub fn add_library(&self, package: &str) -> PathBuf {
        let built = library(package);
        let copied = self.path("plugins").join(built.file_name().expect("a file"));
        fs::copy(built, &copied).expect("the library can be copied");
        copied
    }

    /// Puts a plugin that is made for tests where the host finds it.
    pub fn add_test_plugin(&self, name: &str) {
        self.add_library(&format!("wharf-test-plugin-{name}"));
    }

    /// The user's settings.
    pub fn configure(&self, settings: &Value) {
        fs::create_dir_all(self.path("config")).expect("a folder for the configuration");
        let mut file =
            fs::File::create(self.path("config/config.json")).expect("the settings can be written");
        file.write_all(settings.to_string().as_bytes()).expect("the settings can be written");
    }

    /// An executable script, as a SERVER.
    pub fn script(&self, name: &str, text: &str) -> String {
        let path = self.work().join(name);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o755)
            .open(&path)
            .expect("a script can be made");
        file.write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).expect("a script can be written");
        path.display().to_string()
    }

    /// The command, not yet run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = match self.is_bare {
            true => Command::new(built("wharf-without-namespaces")),
            false => Command::new(wharf_alone()),
        };
        command
            .args(self.is_bare.then(wharf_alone))
            .args(args)
            .env_clear()
            .current_dir(self.work())
            .stdin(Stdio::null());
        // The variables that npx and uvx need on this machine: certificates and settings.
        for (name, value) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            let wanted = ["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"];
            if name_text == "HOME" && self.is_at_home
                || wanted.contains(&name_text.as_ref())
                || name_text.starts_with("npm_config_")
            {
                command.env(name, value);
            }
        }
        // Programs of the build are in the workloads' reach, like all that is in PATH.
        let mut path = vec![built("wharf").parent().expect("a folder").to_owned()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        command.env("PATH", std::env::join_paths(path).expect("a search path"));
        if !self.is_at_home {
            command.env("HOME", self.path("home"));
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
            .env("WHARF_STATE_DIR", self.path("state"))
            .env("WHARF_DATA_DIR", self.path("data"))
            .env("WHARF_CACHE_DIR", self.path("cache"))
            .env("WHARF_CONFIG_DIR", self.path("config"))
            .env("WHARF_PLUGIN_PATH", self.path("plugins"))
            .env("WHARF_ENGINE_PATH", self.engines())
            // A build for debugging takes seconds to check and load its libraries where the machine is busy, and the
            // deadlines of calls are to end before it.
            .env("WHARF_LIST_TIMEOUT_MS", "20000");
        command
    }

    /// The command under strace(1), with these options; the trace goes to a file.
    pub fn traced(&self, options: &[&str], trace: &Path, args: &[&str]) -> Command {
        let wharf = self.command(args);
        let environment = wharf.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut strace = Command::new("strace");
        strace.args(["--quiet=all", "--follow-forks", "--decode-fds=path"]).args(options);
        strace.arg("--output").arg(trace).arg(wharf_alone()).args(args);
        strace.env_clear().envs(environment).current_dir(self.folder.path()).stdin(Stdio::null());
        strace
    }

    /// Runs a command to its end. Where it prints JSON, that has the documented form.
    pub fn wharf(&self, args: &[&str]) -> Said {
        let output = output_of(&mut self.command(args), COMMAND_WAIT);
        let said = Said::of(&output);
        json_forms::check(args, &said);
        said
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        let said = self.wharf(args);
        assert_eq!(said.code, 0, "wharf {args:?}: {said:?}");
        said.stdout
    }

    /// What `reconcile` prints. That an owner could not be asked, which has its own exit code, may be what is tried.
    pub fn reconcile(&self, args: &[&str]) -> String {
        let said = self.wharf(&[&["reconcile"], args].concat());
        assert!(matches!(said.code, 0 | 5), "wharf reconcile {args:?}: {said:?}");
        said.stdout
    }

    /// Starts a workload that must become ready, and returns its URL.
    pub fn run(&self, args: &[&str]) -> String {
        self.ok(&[&["run"], args].concat()).trim().to_owned()
    }

    /// All workloads, as the list says.
    pub fn list(&self) -> Vec<Value> {
        let text = self.ok(&["list", "--all", "--format", "json"]);
        serde_json::from_str(&text).expect("the list is JSON")
    }

    /// One workload of the list.
    pub fn row(&self, name: &str) -> Option<Value> {
        self.list().into_iter().find(|row| row["name"] == name)
    }

    /// The id that labels all of its resources; empty before the first one.
    pub fn id(&self) -> String {
        fs::read_to_string(self.path("state/host-id")).unwrap_or_default().trim().to_owned()
    }

    /// The server of a workload as this machine counts processes; for itself it may have another number.
    pub fn server(&self, name: &str) -> i32 {
        let pid = &self.record(name)["handle"]["data"]["workload"]["pid"];
        pid.as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("its process is recorded")
    }

    /// The process that a running workload knows by this number, as this machine counts.
    pub fn process_of(&self, name: &str, inside: i32) -> i32 {
        process_of(self.server(name), inside).expect("there is such a process")
    }

    /// The running processes of this host: supervisors, launchers, workloads and stragglers.
    pub fn processes(&self) -> Vec<i32> {
        let folder = self.folder.path().display().to_string();
        let host_id = self.id();
        let marker = format!("WHARF_HOST_ID={host_id}");
        let ours = |pid: &i32| {
            let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
            let environment = String::from_utf8_lossy(&environment).into_owned();
            (environment.contains(&folder)
                || (!host_id.is_empty() && environment.contains(&marker))
                || has_open(*pid, &folder))
                && !is_zombie(*pid)
        };
        let entries = fs::read_dir("/proc").expect("there is a /proc");
        let me = i32::try_from(std::process::id()).unwrap_or_default();
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| *pid != me && ours(pid))
            .collect()
    }

    /// Kills the program of a workload, or of a session, by its process on record.
    pub fn kill_server(&self, recorded: i32) {
        self.kill_own(program_of(recorded));
    }

    /// Kills a process if it is one of this host's: the pids of a machine that is busy are used again within seconds.
    pub fn kill_own(&self, pid: i32) {
        use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
        let Some(raw) = Pid::from_raw(pid) else { return };
        let Ok(process) = pidfd_open(raw, PidfdFlags::empty()) else { return };
        // Looked at once the descriptor is open: it stays that process' own.
        if self.processes().contains(&pid) {
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }

    /// Fails unless nothing of this host runs within the time.
    pub fn assert_nothing_runs(&self) {
        eventually("nothing is running", || self.processes().is_empty());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.wharf(&["rm", "--all"]);
        for pid in self.processes() {
            self.kill_own(pid);
        }
    }
}

/// Fails unless the condition becomes true: for events in other processes that cannot be awaited.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + EVENT_WAIT;
    while !is_true() {
        assert!(Instant::now() < deadline, "never true: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
