//! [`Place`]: where one server is started, both ways.
use crate::{START_WAIT, list::Server};
use serde_json::json;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};
use wharf_tests::host::Host;

/// Settings of the user's that say where packages come from: the variable that names the file, and its place below the home.
const SETTINGS: [(&str, &str); 2] =
    [("npm_config_userconfig", ".npmrc"), ("UV_CONFIG_FILE", ".config/uv/uv.toml")];

/// A host of its own, and in its folder a home with caches for the direct starts. All of it is removed with the place.
pub(crate) struct Place {
    pub(crate) host: Host,
    /// The folder that the server is told of.
    pub(crate) folder: PathBuf,
    home: PathBuf,
}

impl Place {
    pub(crate) fn new() -> io::Result<Self> {
        let host = Host::new().with_users_home();
        let milliseconds = u64::try_from(START_WAIT.as_millis()).unwrap_or(u64::MAX);
        host.configure(&json!({ "start_timeout_ms": milliseconds }));
        let (folder, home) = (host.work().join("folder"), host.path("directly"));
        fs::create_dir(&folder)?;
        fs::create_dir(&home)?;
        Ok(Self { host, folder, home })
    }

    /// The command that starts a server directly: with the environment that wharf's own command has, in an empty folder as
    /// wharf runs a package, and in a home of its own. Nothing confines it, and it has nothing to look for in the user's home.
    pub(crate) fn direct(&self, server: &Server) -> io::Result<Command> {
        let folder = self.home.join("empty");
        fs::create_dir_all(&folder)?;
        let mut command = Command::new(server.program());
        command.args(server.package_arguments()).args(server.arguments(&self.folder));
        command.env_clear().current_dir(folder);
        let wharf = self.host.command(&[]);
        for (name, value) in wharf.get_envs() {
            if let Some(value) = value.filter(|_| !name.to_string_lossy().starts_with("WHARF_")) {
                command.env(name, value);
            }
            if name == "HOME" {
                command.envs(settings(value.map(Path::new)));
            }
        }
        command.env("HOME", &self.home).envs(server.environment(&self.folder));
        Ok(command)
    }
}

/// The variables for the settings that there are.
fn settings(home: Option<&Path>) -> Vec<(&'static str, PathBuf)> {
    let Some(home) = home else { return Vec::new() };
    let all = SETTINGS.map(|(variable, file)| (variable, home.join(file)));
    all.into_iter().filter(|(_, file)| file.is_file()).collect()
}
