//! What a new workload is to be.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wharf_model::{ProxyAuth, RestartPolicy, RunConfig, Transport};
use wharf_sdk::PullPolicy;

/// A request to create and start a workload, already in its types; the command layer validates the rest.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// SERVER.
    pub server: String,
    /// Arguments for it.
    pub args: Vec<String>,
    /// Its name; made from SERVER if there is none.
    pub name: Option<String>,
    /// The runtime; chosen if there is none.
    pub runtime: Option<String>,
    /// What the runtime is told beside the user's configuration, by names of its own; one that does not know a name is
    /// not chosen.
    pub runtime_options: BTreeMap<String, String>,
    /// How the server is spoken to.
    pub transport: Transport,
    /// The address on which the proxy listens.
    pub host: String,
    /// The proxy's port; 0 for any.
    pub proxy_port: u16,
    /// Whom the proxy serves.
    pub auth: ProxyAuth,
    /// The proxy listens on a Unix socket of its user's, too.
    pub unix_socket: bool,
    /// Pages that may ask the proxy besides, as `scheme://host[:port]`.
    pub allowed_origins: Vec<String>,
    /// The port on which the server listens (HTTP); 0 for any, told to it through its environment.
    pub target_port: u16,
    /// Where a command runs; where it is asked for if none is given.
    pub working_dir: Option<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Secrets, as `NAME,target=VARIABLE`.
    pub secrets: Vec<String>,
    /// Files and folders of this machine in the workload, as `host:workload[:ro]`.
    pub volumes: Vec<String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// Its group.
    pub group: String,
    /// As which user of its image it runs; the image's if there is none.
    pub user: Option<String>,
    /// When its image is fetched.
    pub pull: Option<PullPolicy>,
    /// What it may touch, in ToolHive's form; the runtime's choice if there is none.
    pub permission_profile: Option<serde_json::Value>,
    /// At most so many processors.
    pub cpus: Option<f64>,
    /// At most so much memory.
    pub memory_bytes: Option<u64>,
    /// At most so many processes and threads.
    pub pids_limit: Option<u64>,
    /// What cannot be enforced is left out instead of refused.
    pub allow_weaker: bool,
    /// What happens when it ends.
    pub restart: RestartPolicy,
}

impl RunRequest {
    /// A request with nothing special.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            args: Vec::new(),
            name: None,
            runtime: None,
            runtime_options: BTreeMap::new(),
            transport: Transport::Stdio,
            host: "127.0.0.1".to_owned(),
            proxy_port: 0,
            auth: ProxyAuth::Path,
            unix_socket: false,
            allowed_origins: Vec::new(),
            target_port: 0,
            working_dir: None,
            env: BTreeMap::new(),
            secrets: Vec::new(),
            volumes: Vec::new(),
            labels: BTreeMap::new(),
            group: "default".to_owned(),
            user: None,
            pull: None,
            permission_profile: None,
            cpus: None,
            memory_bytes: None,
            pids_limit: None,
            allow_weaker: false,
            restart: RestartPolicy::default(),
        }
    }

    /// The request that makes a copy of an exported workload. Identity and owner are not taken over: it is another
    /// workload, created here and now; its runtime is asked for by name.
    pub fn from_config(config: &RunConfig) -> Self {
        let server = if config.server.is_empty() { &config.image } else { &config.server };
        Self {
            server: server.clone(),
            args: config.cmd_args.clone(),
            name: Some(config.name.to_string()),
            runtime: (!config.runtime_name.trim().is_empty()).then(|| config.runtime_name.clone()),
            runtime_options: config.runtime_options.clone(),
            transport: config.transport,
            host: config.host.clone(),
            proxy_port: config.port,
            // One that says nothing was made when there was no choice; this is a new workload.
            auth: config.proxy_auth.unwrap_or(ProxyAuth::Path),
            unix_socket: config.unix_socket,
            allowed_origins: config.allowed_origins.clone(),
            target_port: config.target_port,
            working_dir: (!config.working_dir.is_empty()).then(|| config.working_dir.clone()),
            env: config.env_vars.clone(),
            secrets: config.secrets.clone(),
            volumes: config.volumes.clone(),
            labels: config.labels.clone(),
            group: config.group.clone(),
            user: (!config.user.is_empty()).then(|| config.user.clone()),
            pull: config.pull,
            permission_profile: config.permission_profile.clone(),
            cpus: config.cpus,
            memory_bytes: config.memory_bytes,
            pids_limit: config.pids_limit,
            allow_weaker: config.allow_weaker,
            restart: config.restart,
        }
    }
}

/// A workload that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its runtime.
    pub runtime_name: String,
    /// Where clients reach it; none if it was not waited for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The proxy's port.
    pub port: u16,
    /// It was running already.
    #[serde(default)]
    pub already_running: bool,
}
