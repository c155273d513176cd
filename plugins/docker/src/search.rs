//! Finds an engine for new workloads. Existing workloads are reached at their recorded endpoint.
//!
//! The first of these places that names an endpoint decides, whether that works or not:
//!
//! | place | `docker` | `podman` |
//! |---|---|---|
//! | configuration | `runtimes.docker.endpoint` | `runtimes.podman.endpoint` |
//! | environment | `DOCKER_HOST` | `CONTAINER_HOST` |
//! | Docker's current context | `DOCKER_CONTEXT`, or `currentContext` in `~/.docker/config.json` (`DOCKER_CONFIG`) | |
//!
//! If none of them names an engine, the runtime tries sockets: `docker.sock` and `podman.sock` in each folder of
//! `WHARF_ENGINE_PATH` (separated by colons), and no others; none at all if it is set and empty. It looks for an installed
//! engine (`dockerd`, `podman`) there, too.
//!
//! If it is not set, these sockets are tried, all at once, and the first in this order that the right kind of engine
//! answers is taken. Each runtime also looks at the other's sockets, after its own: the engine that answers counts, not the
//! name of its socket.
//!
//! | engine | socket |
//! |---|---|
//! | Docker, of the system | `/var/run/docker.sock` |
//! | Docker, rootless | `$XDG_RUNTIME_DIR/docker.sock` |
//! | Docker Desktop on Linux | `~/.docker/desktop/docker.sock` |
//! | Docker Desktop on macOS | `~/.docker/run/docker.sock` |
//! | Colima | `~/.colima/default/docker.sock` |
//! | Rancher Desktop | `~/.rd/docker.sock` |
//! | OrbStack | `~/.orbstack/run/docker.sock` |
//! | Podman, rootless | `$XDG_RUNTIME_DIR/podman/podman.sock` |
//! | Podman, of the system | `/run/podman/podman.sock` |
//! | Podman machine | `~/.local/share/containers/podman/machine/podman.sock` |
//! | Podman machine on macOS | `$TMPDIR/podman/podman-machine-default-api.sock` |
use crate::{
    credentials::MAX_CONFIGURATION_BYTES, endpoint::socket_of, engine::Engine, error::wrong, flavor::Flavor,
};
use futures_util::{StreamExt, stream::FuturesOrdered};
use serde::Deserialize;
use std::{
    collections::HashMap,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use wharf_sdk::files::{self, Links};

/// How long to wait for an answer at a socket that may be an engine's.
const SILENCE: Duration = Duration::from_millis(1500);
/// The variables that are read.
const VARIABLES: [&str; 8] = [
    "DOCKER_HOST",
    "CONTAINER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "HOME",
    "PATH",
    "XDG_RUNTIME_DIR",
    "TMPDIR",
];
/// The variable with the folders that replace the table. Set and empty, it means that there are none.
const SEARCH_PATH: &str = "WHARF_ENGINE_PATH";
/// The name that Docker uses for no context.
const DEFAULT_CONTEXT: &str = "default";

/// The surroundings that a search looks at.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// The folder in which the absolute paths of the table lie: `/`, except in tests.
    root: PathBuf,
    /// The folders of the user that replace the table.
    search_path: Option<Vec<PathBuf>>,
    variables: HashMap<&'static str, String>,
}

/// The result of a search.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An engine's socket, or one that was named and at which none answers.
    Socket(PathBuf),
    /// No engine.
    Nothing {
        /// The sockets that were tried, each with its fault.
        tried: Vec<String>,
        /// Whether the engine's program is installed.
        is_installed: bool,
    },
    /// The user named an engine that cannot be used.
    Unusable {
        /// The fault.
        why: String,
    },
}

/// The fields of Docker's configuration that are read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    current_context: String,
}

/// The fields of a context's `meta.json` that are read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextMeta {
    name: String,
    endpoints: HashMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextEndpoint {
    #[serde(default)]
    host: String,
}

impl Surroundings {
    /// The surroundings of this process.
    pub(crate) fn of_this_process() -> Self {
        let variable = |name| Some((name, std::env::var(name).ok().filter(|value| !value.is_empty())?));
        Self {
            root: PathBuf::from("/"),
            search_path: std::env::var_os(SEARCH_PATH).map(|path| folders_of(&path)),
            variables: VARIABLES.into_iter().filter_map(variable).collect(),
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Finds the engine for this runtime.
    pub(crate) async fn find(&self, flavor: Flavor, configured: Option<&str>) -> Found {
        match self.named(flavor, configured) {
            Ok(Some((by, endpoint))) => match socket_of(&endpoint) {
                Ok(socket) => Found::Socket(socket),
                Err(why) => Found::Unusable { why: format!("{by} says '{endpoint}': {why}") },
            },
            Ok(None) => self.search(flavor).await,
            Err(why) => Found::Unusable { why },
        }
    }

    /// The endpoint that the user named, and the place where.
    fn named(&self, flavor: Flavor, configured: Option<&str>) -> Result<Option<(String, String)>, String> {
        if let Some(endpoint) = configured {
            let by = format!("runtimes.{}.endpoint in config.json", flavor.runtime());
            return Ok(Some((by, endpoint.to_owned())));
        }
        let variable = match flavor {
            Flavor::Docker => "DOCKER_HOST",
            Flavor::Podman => "CONTAINER_HOST",
        };
        if let Some(endpoint) = self.variable(variable) {
            return Ok(Some((variable.to_owned(), endpoint.to_owned())));
        }
        match flavor {
            Flavor::Docker => self.context(),
            Flavor::Podman => Ok(None),
        }
    }

    /// The folder of Docker's client configuration.
    pub(crate) fn docker_folder(&self) -> Option<PathBuf> {
        let folder = self.variable("DOCKER_CONFIG").map(PathBuf::from);
        folder.or_else(|| Some(Path::new(self.variable("HOME")?).join(".docker")))
    }

    /// The endpoint of Docker's current context.
    fn context(&self) -> Result<Option<(String, String)>, String> {
        let Some(folder) = self.docker_folder() else { return Ok(None) };
        let name = match self.variable("DOCKER_CONTEXT") {
            Some(name) => name.to_owned(),
            None => current_context(&folder.join("config.json"))?,
        };
        if name.is_empty() || name == DEFAULT_CONTEXT {
            return Ok(None);
        }
        // Each folder is named after a digest of its context's name; the file in it has the name itself.
        let metas = fs::read_dir(folder.join("contexts/meta")).into_iter().flatten().filter_map(Result::ok);
        let meta = metas
            .filter_map(|entry| {
                files::read_file(&entry.path().join("meta.json"), Links::Follow, MAX_CONFIGURATION_BYTES).ok()
            })
            .filter_map(|text| serde_json::from_slice::<ContextMeta>(&text).ok())
            .find(|meta| meta.name == name);
        let endpoint =
            meta.and_then(|mut meta| meta.endpoints.remove("docker")).map(|endpoint| endpoint.host);
        match endpoint.filter(|host| !host.is_empty()) {
            Some(host) => Ok(Some((format!("Docker's context '{name}'"), host))),
            None => Err(format!("Docker's current context '{name}' does not exist; see: docker context ls")),
        }
    }

    /// Asks at all sockets at once, so that a silent one does not delay the others.
    async fn search(&self, flavor: Flavor) -> Found {
        let mut tried = Vec::new();
        let (mut silent, mut broken) = (None, None);
        let ask = async |(owner, socket): (Flavor, PathBuf)| {
            let late = || io::Error::from(io::ErrorKind::TimedOut);
            let asked = tokio::time::timeout(SILENCE, Engine::reach(&socket)).await;
            (owner, asked.unwrap_or_else(|_| Err(late())), socket)
        };
        let mut answers: FuturesOrdered<_> = self.sockets(flavor).into_iter().map(ask).collect();
        while let Some((owner, answer, socket)) = answers.next().await {
            match answer {
                Ok(engine) if engine.flavor == flavor => return Found::Socket(socket),
                Ok(engine) => tried.push(format!("{} ({} answers)", socket.display(), engine.flavor.title())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    tried.push(socket.display().to_string());
                }
                Err(error) => {
                    tried.push(wrong(&socket, &error));
                    if owner == flavor {
                        let found =
                            if error.kind() == io::ErrorKind::TimedOut { &mut silent } else { &mut broken };
                        found.get_or_insert(socket);
                    }
                }
            }
        }
        // Something listens at a silent one: it may be an engine that has much to do.
        match silent.or(broken) {
            Some(socket) => Found::Socket(socket),
            None => Found::Nothing { tried, is_installed: self.is_installed(flavor) },
        }
    }

    /// Whether the engine's own program is installed. Docker's client alone does not count: it may be there for an engine
    /// elsewhere.
    fn is_installed(&self, flavor: Flavor) -> bool {
        let program = match flavor {
            Flavor::Docker => "dockerd",
            Flavor::Podman => "podman",
        };
        if let Some(folders) = &self.search_path {
            return folders.iter().any(|folder| folder.join(program).is_file());
        }
        let folders = self.variable("PATH").into_iter().flat_map(std::env::split_paths);
        // The folder of services, which is not in an ordinary user's PATH.
        let mut folders = folders.chain([self.root.join("usr/sbin")]);
        folders.any(|folder| folder.join(program).is_file())
    }

    /// The sockets that are tried, those of this runtime first.
    fn sockets(&self, flavor: Flavor) -> Vec<(Flavor, PathBuf)> {
        let (docker, podman) = match &self.search_path {
            Some(folders) => {
                let named = |name| folders.iter().map(|folder| folder.join(name)).collect();
                (named("docker.sock"), named("podman.sock"))
            }
            None => self.table(),
        };
        let docker = docker.into_iter().map(|socket| (Flavor::Docker, socket));
        let podman = podman.into_iter().map(|socket| (Flavor::Podman, socket));
        match flavor {
            Flavor::Docker => docker.chain(podman).collect(),
            Flavor::Podman => podman.chain(docker).collect(),
        }
    }

    /// The sockets of the table: Docker's, and Podman's.
    fn table(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let system = |path: &str| Some(self.root.join(path));
        let below = |variable: &str, path: &str| Some(Path::new(self.variable(variable)?).join(path));
        let home = |path| below("HOME", path);
        let docker = [
            system("var/run/docker.sock"),
            below("XDG_RUNTIME_DIR", "docker.sock"),
            home(".docker/desktop/docker.sock"),
            home(".docker/run/docker.sock"),
            home(".colima/default/docker.sock"),
            home(".rd/docker.sock"),
            home(".orbstack/run/docker.sock"),
        ];
        let podman = [
            below("XDG_RUNTIME_DIR", "podman/podman.sock"),
            system("run/podman/podman.sock"),
            home(".local/share/containers/podman/machine/podman.sock"),
            below("TMPDIR", "podman/podman-machine-default-api.sock"),
        ];
        (docker.into_iter().flatten().collect(), podman.into_iter().flatten().collect())
    }
}

/// The folders in a path. An empty name is left out; in `PATH` it would mean the current folder.
fn folders_of(path: &OsStr) -> Vec<PathBuf> {
    std::env::split_paths(path).filter(|folder| !folder.as_os_str().is_empty()).collect()
}

/// The current context; a missing file means none. An unreadable file is an error, since it may name another engine than
/// the one that would be used instead.
fn current_context(config: &Path) -> Result<String, String> {
    let unreadable =
        |why: String| format!("{} cannot be read: {why}; mend it, or set DOCKER_HOST", config.display());
    match files::read_file(config, Links::Follow, MAX_CONFIGURATION_BYTES) {
        Ok(text) => serde_json::from_slice::<DockerConfig>(&text)
            .map(|config| config.current_context)
            .map_err(|error| unreadable(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
