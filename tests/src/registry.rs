//! A registry of images of a test's own (Debian's `docker-registry`), on this machine alone.
use crate::host::has_tool;
use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The user that a registry with users knows, and the password.
pub const USER: (&str, &str) = ("wharf", "open-sesame");
/// The same as the registry has it: bcrypt.
const HTPASSWD: &str = "wharf:$2b$04$83PG3OUzkbp0MsNnK3Ik1uMI0KKGumwuawY4Mli0197RnlcDG9Jya\n";
/// How long it may take to listen.
const EVENT_WAIT: Duration = Duration::from_secs(60);

/// A registry. It ends with the test.
#[derive(Debug)]
pub struct Registry {
    folder: tempfile::TempDir,
    service: Child,
    /// Its address, with which the names of its images begin.
    pub address: String,
}

impl Registry {
    /// A registry that knows its users or lets in everybody; none if this machine has none, with a message.
    pub fn start(has_users: bool) -> Option<Self> {
        if !has_tool("docker", "docker-registry") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let htpasswd = path("htpasswd");
        let users = format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", htpasswd.display());
        let settings = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n{}",
            path("data").display(),
            if has_users { &users } else { "" },
        );
        for (file, text) in [(&htpasswd, HTPASSWD), (&path("config.yml"), settings.as_str())] {
            let made = fs::File::create(file).and_then(|mut file| file.write_all(text.as_bytes()));
            made.expect("the settings can be written");
        }
        let log = fs::File::create(path("log")).expect("a log");
        let service = Command::new("docker-registry")
            .arg("serve")
            .arg(path("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("docker-registry");
        // The kernel chooses its port: one that was free when it was asked for may be somebody else's by now.
        let mut registry = Self { folder, service, address: String::new() };
        let deadline = Instant::now() + EVENT_WAIT;
        while registry.address.is_empty() {
            let log = fs::read_to_string(registry.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the registry does not start:\n{log}");
            registry.address = listened_on(&log).unwrap_or_default();
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    /// An image of this registry.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Docker's configuration in a folder, as the value of `DOCKER_CONFIG`.
    pub fn configuration(&self, settings: &serde_json::Value) -> PathBuf {
        let folder = self.folder.path().join("docker");
        fs::create_dir_all(&folder).expect("a folder");
        let file = fs::File::create(folder.join("config.json"));
        let written = file.and_then(|mut file| file.write_all(settings.to_string().as_bytes()));
        written.expect("the configuration can be written");
        folder
    }
}

/// The address in the line of the log that says that it listens.
fn listened_on(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("msg=\"listening on ")?;
    rest.split_once('"').map(|(address, _)| address.to_owned())
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}
