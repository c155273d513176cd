//! Turns a RunConfig into the specification for the runtime. The supervisor and `run` call it.
use crate::config::Config;
use crate::network_verdicts::NetworkVerdicts;
use crate::private_folders as private;
use crate::source as server;
use crate::source::Surroundings;
use std::{collections::BTreeSet, io, path::Path};
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{ProxyMode, RunConfig, Transport};
use wharf_sdk::files::{self, Links};
use wharf_sdk::stamp::RuntimeStamp;
use wharf_sdk::{Capability, NetworkVerdict, PermissionProfile, Source, WorkloadSpec};

/// A larger file is refused: a secret becomes an environment variable.
const MAX_SECRET_BYTES: u64 = 1024 * 1024;

/// The specification of a workload. `target_port` is the port that an HTTP server is told to listen on. Secrets are
/// resolved here, so that their values are in no record.
///
/// # Errors
/// A SERVER that makes no sense, a feature that this version lacks, a mount of wharf's own files, a secret that cannot be
/// read.
pub fn specification(
    config: &Config,
    run: &RunConfig,
    runtime: &RuntimeStamp,
    host_id: &str,
    target_port: u16,
) -> Result<WorkloadSpec> {
    // A runtime that cannot mount refuses all mounts itself.
    if runtime.has(&Capability::MOUNTS) {
        let in_parts = runtime.has(&Capability::MOUNT_PARTS);
        private::refuse_mounts(&config.private_dirs(), &run.volumes, in_parts)?;
    }
    let mut env = run.env_vars.clone();
    let mut supposed = supposed(run);
    let transport = match run.transport {
        Transport::Stdio => {
            env.entry(TRANSPORT_VARIABLE.to_owned()).or_insert_with(|| "stdio".to_owned());
            wharf_sdk::Transport::Stdio
        }
        Transport::StreamableHttp => {
            let own_ports = runtime.has(&Capability::PORT_MAPPING);
            for (name, value) in http_environment(target_port, own_ports) {
                env.entry(name.to_owned()).or_insert(value);
            }
            wharf_sdk::Transport::Http { target_port }
        }
        Transport::Sse | Transport::Inspector => {
            let message =
                format!("servers with the transport '{}' are not supported", run.transport.as_str());
            return Err(Error::new(ErrorKind::Usage, message));
        }
    };
    if run.transport == Transport::Stdio && run.proxy_mode != ProxyMode::StreamableHttp {
        let message = "the field 'proxy_mode' can only be 'streamable-http' in this version of wharf";
        return Err(Error::new(ErrorKind::Usage, message));
    }
    for text in &run.secrets {
        let secret = SecretReference::parse(text)?;
        let value = secret.resolve(&config.config_dir)?;
        supposed.remove(&secret.target);
        env.insert(secret.target, value);
    }
    if !runtime.has(&Capability::IMAGE_SETTINGS) {
        supposed.clear();
    }
    Ok(WorkloadSpec {
        uid: run.uid.to_string(),
        name: run.name.to_string(),
        host_id: host_id.to_owned(),
        parent: None,
        source: source(config, run)?,
        args: run.cmd_args.clone(),
        env,
        transport,
        labels: run.labels.clone(),
        group: runtime.has(&Capability::GROUP).then(|| run.group.clone()),
        user: (!run.user.is_empty()).then(|| run.user.clone()),
        pull: run.pull,
        working_dir: (!run.working_dir.is_empty()).then(|| run.working_dir.clone()),
        mounts: run.volumes.clone(),
        cpus: run.cpus,
        memory_bytes: run.memory_bytes,
        pids_limit: run.pids_limit,
        permission_profile: permission_profile(run)?,
        allow_weaker: run.allow_weaker,
        pinned: if runtime.has(&Capability::PIN) { run.pins()? } else { None },
        network_verdict: network_verdict(config, run, runtime),
        supposed,
        container: run.container.clone(),
    })
}

/// The variables that nobody asked for. A port that the user has chosen is none of them; nor is the transport over stdio,
/// which nothing else would tell the server.
fn supposed(run: &RunConfig) -> BTreeSet<String> {
    if run.transport != Transport::StreamableHttp {
        return BTreeSet::new();
    }
    let ports = PORT_VARIABLES.iter().filter(|_| run.target_port == 0);
    let names = std::iter::once(&TRANSPORT_VARIABLE).chain(ports);
    names.filter(|name| !run.env_vars.contains_key(**name)).map(|name| (*name).to_owned()).collect()
}

/// The verdict on the networks of the instance that the workload belongs to, for a runtime that can try that out.
fn network_verdict(config: &Config, run: &RunConfig, runtime: &RuntimeStamp) -> Option<NetworkVerdict> {
    let owner = run.owner().filter(|_| runtime.has(&Capability::PROBE))?;
    NetworkVerdicts::of(config.state()).on(&owner.runtime_name, &owner.runtime_instance)
}

/// The values of a workload's secrets, for whoever must keep them out of a text. One that cannot be read is left out.
pub fn secret_values(config: &Config, run: &RunConfig) -> Vec<String> {
    let references = run.secrets.iter().filter_map(|text| SecretReference::parse(text).ok());
    references.filter_map(|secret| secret.resolve(&config.config_dir).ok()).collect()
}

/// The permission profile. One with an unknown field is refused, since it would be enforced only in part.
fn permission_profile(run: &RunConfig) -> Result<Option<PermissionProfile>> {
    let Some(profile) = &run.permission_profile else { return Ok(None) };
    match serde_json::from_value(profile.clone()) {
        Ok(profile) => Ok(Some(profile)),
        Err(error) => {
            Err(Error::caused(ErrorKind::Usage, "the permission profile is not one that wharf knows", &error))
        }
    }
}

/// The source that a RunConfig's SERVER names.
pub(crate) fn source(config: &Config, run: &RunConfig) -> Result<Source> {
    if !run.image.is_empty() {
        return Ok(Source::Image { reference: run.image.clone() });
    }
    let surroundings = Surroundings { current_dir: &config.current_dir, search_path: &config.search_path };
    let (source, _) = server::parse(&run.server, surroundings)
        .map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))?;
    // An image is recorded in `image`. So `server` names a command, even if it is not in PATH now.
    Ok(match source {
        Source::Image { reference } => Source::Command { program: reference },
        other => other,
    })
}

/// The variables that tell HTTP servers their port: the names that ToolHive sets, and those that most frameworks read.
/// A server in a network of its own can only be reached if it listens on more than its loopback address.
fn http_environment(target_port: u16, own_ports: bool) -> impl Iterator<Item = (&'static str, String)> {
    let port = target_port.to_string();
    let host = if own_ports { "0.0.0.0" } else { "127.0.0.1" };
    let ports = PORT_VARIABLES.into_iter().map(move |name| (name, port.clone()));
    let hosts = HOST_VARIABLES.into_iter().map(move |name| (name, host.to_owned()));
    std::iter::once((TRANSPORT_VARIABLE, "streamable-http".to_owned())).chain(ports).chain(hosts)
}

/// The variable that tells servers of both transports which one is meant.
const TRANSPORT_VARIABLE: &str = "MCP_TRANSPORT";
/// The variables that tell HTTP servers their port, in the order in which they are believed where a user sets one.
pub const PORT_VARIABLES: [&str; 4] = ["MCP_PORT", "PORT", "FASTMCP_PORT", "UVICORN_PORT"];
/// The variables that tell them the address to listen on, each beside its port: a framework that is told one of both listens
/// on loopback.
const HOST_VARIABLES: [&str; 4] = ["MCP_HOST", "HOST", "FASTMCP_HOST", "UVICORN_HOST"];

/// `NAME,target=VARIABLE`: ToolHive's form of a reference to a secret. The value lies in a file of that name in the folder
/// `secrets` of the configuration, which only its user may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretReference {
    /// The secret's name.
    pub(crate) name: String,
    /// The variable for its value.
    pub(crate) target: String,
}

impl SecretReference {
    /// Parses a reference.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(ErrorKind::Usage, format!("'{text}' is no reference to a secret"))
                .hint("write NAME,target=VARIABLE")
        };
        let (name, target) = text.split_once(",target=").ok_or_else(wrong)?;
        let fine = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        };
        if !fine(name) || !fine(target) {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), target: target.to_owned() })
    }

    /// The secret's value, from its file.
    pub(crate) fn resolve(&self, config_dir: &Path) -> Result<String> {
        use std::os::unix::fs::MetadataExt;
        let path = config_dir.join("secrets").join(&self.name);
        let failed = |error: &io::Error| {
            // Who names a secret that nobody has put there is told what to do; another fault is this machine's.
            let kind = match error.kind() {
                io::ErrorKind::NotFound => ErrorKind::Usage,
                _ => ErrorKind::Failed,
            };
            Error::caused(kind, format!("the secret '{}' cannot be read", self.name), error)
                .hint(format!("put its value into {} with mode 0600", path.display()))
        };
        let (file, metadata) = files::open(&path, Links::Follow).map_err(|error| failed(&error))?;
        if metadata.mode() & 0o077 != 0 {
            let message = format!("the secret '{}' can be read by others", self.name);
            return Err(
                Error::new(ErrorKind::Failed, message).hint(format!("run: chmod 600 {}", path.display()))
            );
        }
        let bytes = files::read(file, MAX_SECRET_BYTES).map_err(|error| failed(&error))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| failed(&io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")))?;
        // An editor of Windows ends a line with two.
        let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        Ok(line.unwrap_or(&text).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::Permissions, io::Write, os::unix::fs::PermissionsExt};

    #[test]
    fn a_port_and_a_transport_are_supposed_unless_the_user_has_chosen_them() {
        let uid = wharf_model::Uid::random().unwrap();
        let mut run = RunConfig::new(uid, wharf_model::WorkloadName::new("time").unwrap(), "");
        let names = |run: &RunConfig| supposed(run).into_iter().collect::<Vec<_>>();
        run.transport = Transport::Stdio;
        assert!(names(&run).is_empty(), "over stdio it is told");
        run.transport = Transport::StreamableHttp;
        assert_eq!(names(&run), ["FASTMCP_PORT", "MCP_PORT", "MCP_TRANSPORT", "PORT", "UVICORN_PORT"]);
        run.target_port = 9000;
        assert_eq!(names(&run), ["MCP_TRANSPORT"]);
        run.env_vars.insert("MCP_TRANSPORT".to_owned(), "http".to_owned());
        assert!(names(&run).is_empty());
    }

    #[test]
    fn a_reference_to_a_secret_is_read() {
        let secret = SecretReference::parse("token,target=API_TOKEN").unwrap();
        assert_eq!((secret.name.as_str(), secret.target.as_str()), ("token", "API_TOKEN"));
        for wrong in ["token", "token,target=", ",target=X", "../token,target=X", "a,target=B=C"] {
            assert_eq!(SecretReference::parse(wrong).unwrap_err().kind, ErrorKind::Usage, "{wrong}");
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("secrets")).unwrap();
        let path = dir.path().join("secrets/token");
        let secret = SecretReference::parse("token,target=T").unwrap();
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(b"value\n").unwrap();
        file.set_permissions(Permissions::from_mode(0o644)).unwrap();
        assert!(secret.resolve(dir.path()).unwrap_err().message.contains("can be read by others"));
        file.set_permissions(Permissions::from_mode(0o600)).unwrap();
        assert_eq!(secret.resolve(dir.path()).unwrap(), "value");
        for (bytes, value) in [(&b"value\r\n"[..], "value"), (b"value\r", "value\r"), (b"a\nb\n", "a\nb")] {
            std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
            assert_eq!(secret.resolve(dir.path()).unwrap(), value);
        }
    }

    #[test]
    fn a_secret_that_nobody_has_put_there_is_wrong_usage_and_its_place_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let secret = SecretReference::parse("token,target=T").unwrap();
        let missing = secret.resolve(dir.path()).unwrap_err();
        assert_eq!((missing.kind, missing.advice.len()), (ErrorKind::Usage, 1), "{missing:?}");
    }

    #[test]
    fn a_secret_without_end_is_not_read_to_its_end() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("secrets")).unwrap();
        let path = dir.path().join("secrets/token");
        let secret = SecretReference::parse("token,target=T").unwrap();
        let why = || wharf_model::chain(&secret.resolve(dir.path()).unwrap_err());
        let file = std::fs::File::create(&path).unwrap();
        file.set_permissions(Permissions::from_mode(0o600)).unwrap();
        file.set_len(3 << 30).unwrap();
        assert!(why().contains("it has more than 1048576 bytes"), "{}", why());
        std::fs::remove_file(&path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(why().contains("it is not a regular file"), "{}", why());
    }
}
