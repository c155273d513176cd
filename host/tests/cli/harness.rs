//! Runs commands in a home of its own for each test, and turns their output into one text for snapshots.
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The directories of one user, empty, and nothing of this machine's.
pub(crate) struct TestHost {
    root: tempfile::TempDir,
}

/// The binary in a folder without plugins: they are also searched for beside it.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wharf-alone");
        fs::create_dir_all(&folder).unwrap();
        let alone = folder.join("wharf");
        match fs::remove_file(&alone) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
        let built = env!("CARGO_BIN_EXE_wharf");
        if fs::hard_link(built, &alone).is_err() {
            fs::copy(built, &alone).unwrap();
        }
        alone
    })
}

impl TestHost {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("wharf-cli-").tempdir().unwrap();
        // Nobody else can write to this folder, whatever the umask is.
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        Self { root }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// A command with nothing in its environment but the three directories and an empty PATH.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_command(arguments);
        command
            .env("WHARF_STATE_DIR", self.path("state"))
            .env("WHARF_CACHE_DIR", self.path("cache"))
            .env("WHARF_CONFIG_DIR", self.path("config"))
            .env("WHARF_DATA_DIR", self.path("data"));
        command
    }

    /// A command with nothing in its environment but an empty PATH, for engines too.
    pub(crate) fn bare_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("WHARF_ENGINE_PATH", "")
            .current_dir(self.root.path())
            .stdin(Stdio::null());
        command
    }

    /// The output of a command.
    pub(crate) fn wharf(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        self.told(&output)
    }

    /// Exit code, stdout and stderr as one text, the same on every machine.
    pub(crate) fn told(&self, output: &Output) -> String {
        let code = output.status.code().map_or_else(|| output.status.to_string(), |code| code.to_string());
        let mut text = format!("exit code {code}\n");
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            if !bytes.is_empty() {
                text.push_str(&format!("-- {name} --\n{}\n", self.normal(bytes).trim_end_matches('\n')));
            }
        }
        text
    }

    /// The text with paths and versions of this machine replaced.
    pub(crate) fn normal(&self, bytes: &[u8]) -> String {
        let mut text = String::from_utf8(bytes.to_vec()).unwrap();
        for (found, shown) in [
            (self.root.path().to_str().unwrap(), "$ROOT"),
            (binary().parent().unwrap().to_str().unwrap(), "$BESIDE"),
            (wharf_sdk::stamp::RUSTC, "$RUSTC"),
            (wharf_sdk::stamp::TARGET, "$TARGET"),
        ] {
            text = text.replace(found, shown);
        }
        text
    }

    pub(crate) fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
        // A host with an owned workload has an id.
        if below.starts_with("state/runconfigs/") && !self.path("state/host-id").exists() {
            self.write("state/host-id", &"0f".repeat(16));
        }
    }

    pub(crate) fn set_mode(&self, below: &str, mode: u32) {
        fs::set_permissions(self.path(below), Permissions::from_mode(mode)).unwrap();
    }

    /// A workload that is on record as stopped, of a runtime that no plugin provides.
    pub(crate) fn record(&self, name: &str) {
        self.write(&format!("state/runconfigs/{name}.json"), &run_config(name, ""));
        self.write(&format!("state/statuses/{name}.json"), &status(r#""stopped""#, r#""stopped""#));
    }

    /// All files below a folder with their contents: a command that reads must not change them.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.path().to_owned()];
        while let Some(folder) = folders.pop() {
            found.push((folder.clone(), Vec::new()));
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }
}

/// The uid of workloads that tests put on record.
pub(crate) const UID: &str = "0123456789abcdef0123456789abcdef";

/// A RunConfig, with more fields if there are any.
pub(crate) fn run_config(name: &str, more: &str) -> String {
    format!(
        r#"{{"schema_version":"v0.1.0","uid":"{UID}","name":"{name}","runtime_name":"absent","runtime_instance":"here",
            "server":"uvx://mcp-server-{name}","transport":"stdio","port":4100,"group":"tools"{more}}}"#
    )
}

/// A status record.
pub(crate) fn status(phase: &str, desired: &str) -> String {
    format!(
        r#"{{"schema_version":"v0.1.0","uid":"{UID}","revision":3,"status":{phase},"desired":{desired},
            "created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}}"#
    )
}
