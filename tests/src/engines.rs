//! Real engines of a test's own: each in a temporary folder, with its own socket and data, ended and removed with the
//! test (`tests/engines/`).
pub use crate::images::{DEMO_IMAGE, SHELL_IMAGE};
use crate::{
    host::{has_tool, output_of},
    images::Image,
};
use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an engine may take to answer, and to end.
const EVENT_WAIT: Duration = Duration::from_secs(60);

/// How long an engine's client may take: an image may have to be read.
const CLIENT_WAIT: Duration = Duration::from_secs(300);

/// The two kinds of engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

impl Kind {
    /// The runtime's name, which is also that of the engine's client.
    pub const fn runtime(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Docker => Self::Podman,
            Self::Podman => Self::Docker,
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Docker => "dockerd",
            Self::Podman => "podman",
        }
    }
}

/// An engine. When it is dropped, it is ended, and nothing of it stays.
#[derive(Debug)]
pub struct Engine {
    kind: Kind,
    folder: tempfile::TempDir,
    service: Option<Child>,
}

impl Engine {
    /// An engine with the demo image; none if this machine cannot have one, with a message.
    pub fn start(kind: Kind) -> Option<Self> {
        Self::prepared(kind, |_| {})
    }

    /// A Docker with these settings of its own.
    pub fn docker_with(settings: &str) -> Option<Self> {
        Self::prepared(Kind::Docker, |folder| {
            let file = fs::File::create(folder.join("settings.json"));
            file.and_then(|mut file| file.write_all(settings.as_bytes())).expect("a file can be written");
        })
    }

    /// An engine whose data are on a small disk, of so many megabytes.
    pub fn on_small_disk(kind: Kind, megabytes: u32) -> Option<Self> {
        Self::prepared(kind, |folder| {
            let data = folder.join("data");
            fs::create_dir(&data).expect("a folder can be made");
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(&data);
            assert!(mount.status().is_ok_and(|status| status.success()), "a disk in memory");
        })
    }

    fn prepared(kind: Kind, prepare: impl FnOnce(&Path)) -> Option<Self> {
        if !has_tool(kind.runtime(), kind.program()) || !may_start(kind) {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("wharf-engine-").tempdir().expect("a temporary folder");
        prepare(folder.path());
        let mut engine = Self { kind, folder, service: None };
        engine.resume();
        engine.add(&Image::of_demo());
        Some(engine)
    }

    /// Where its data are.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Kills it, as nobody's manager would.
    pub fn die(&mut self) {
        self.end("KILL");
    }

    /// Lets it run again with the same data.
    pub fn resume(&mut self) {
        // Two that begin at once get in each other's way in the tables of iptables.
        static STARTING: Mutex<()> = Mutex::new(());
        let _turn = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut command = self.secluded(script("start"));
        // A process group of its own: signals for the test do not reach it.
        command.arg(self.kind.runtime()).arg(self.folder.path()).process_group(0).stdin(Stdio::null());
        let mut spawn = || command.spawn().expect("the engine's script");
        self.service = Some(spawn());
        let deadline = Instant::now() + EVENT_WAIT;
        while !self.answers() {
            // A Docker that was killed gives up after 15 s where the part of it that died with it still holds its data.
            // Its service manager starts it again then.
            let gave_up = |it: &mut Child| it.try_wait().expect("the engine can be waited for").is_some();
            if self.service.as_mut().is_some_and(gave_up) {
                self.service = Some(spawn());
            }
            assert!(Instant::now() < deadline, "{:?} does not start:\n{}", self.kind, self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as its service manager would. Docker's containers end with it.
    pub fn stop(&mut self) {
        self.end("TERM");
    }

    /// Lets it answer nobody, though its socket takes connections.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Ends that.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        if let Some(service) = &self.service {
            let _ = Command::new("kill").args([&format!("-{signal}"), &service.id().to_string()]).status();
        }
    }

    fn end(&mut self, signal: &str) {
        self.signal(signal);
        self.thaw();
        let Some(mut service) = self.service.take() else { return };
        let deadline = Instant::now() + EVENT_WAIT;
        while service.try_wait().expect("the engine can be waited for").is_none() {
            if Instant::now() > deadline {
                let _ = service.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Podman leaves its socket, which would be taken for an engine that is silent.
        let _ = fs::remove_file(self.socket());
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }

    /// Its endpoint.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The output of its own client for a command that must succeed.
    pub fn client(&self, args: &[&str]) -> String {
        let output = output_of(&mut self.command(args), CLIENT_WAIT);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Its own client with a command, not yet run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.secluded(self.kind.runtime());
        match self.kind {
            Kind::Docker => command.arg("--host"),
            Kind::Podman => command.args(["--remote", "--url"]),
        };
        command.arg(self.endpoint()).args(args).stdin(Stdio::null());
        command
    }

    /// A program that ignores the settings of this machine's user about engines.
    fn secluded(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let of_engines = ["DOCKER_", "CONTAINER", "BUILDKIT_", "XDG_"];
            if of_engines.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.folder.path());
        command
    }

    fn answers(&self) -> bool {
        // An engine that is starting may take the question and not answer it.
        self.socket().exists() && output_of(&mut self.command(&["info"]), CLIENT_WAIT).status.success()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("engine.log")).unwrap_or_default()
    }

    /// Takes the image with a shell; false if this machine cannot make it, with a message.
    pub fn import_shell(&self) -> bool {
        let image = Image::of_shell(self.kind.runtime());
        image.inspect(|image| self.add(image)).is_some()
    }

    /// Takes an image with its whole description, such as its platform, which an import has no place for.
    pub fn load(&self, image: &Image) {
        self.client(&["load", "--input", &image.save().display().to_string()]);
    }

    /// Takes an image that was packed.
    pub fn add(&self, image: &Image) {
        self.import_archive(&image.archive(), image.changes(), image.name());
    }

    fn import_archive(&self, archive: &Path, changes: &[String], image: &str) {
        let changes: Vec<&str> = changes.iter().flat_map(|change| ["--change", change]).collect();
        self.client(&[&["import"], &changes[..], &[&archive.display().to_string(), image]].concat());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end("TERM");
        let _ = Command::new(script("clean")).arg(self.folder.path()).status();
    }
}

/// Only root may start engines as the scripts do.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn may_start(kind: Kind) -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        eprintln!("skipped: {} is started by root alone here", kind.program());
    }
    may
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("engines").join(name)
}
