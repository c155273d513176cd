//! [`RunRequest`]: the description of a workload to create. Front ends make it, `run` takes it.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wharf_model::{Instances, ProxyAuth, RestartPolicy, RunConfig, Transport};
use wharf_sdk::{ContainerOptions, PullPolicy};

/// Sets the fields that a description, the request and the RunConfig have under the same names and in the same form.
macro_rules! set_alike {
    ($to:ident, $from:expr) => {
        $to.unix_socket = $from.unix_socket;
        $to.allowed_origins.clone_from(&$from.allowed_origins);
        $to.allowed_hosts.clone_from(&$from.allowed_hosts);
        $to.target_path.clone_from(&$from.target_path);
        $to.labels.clone_from(&$from.labels);
        $to.pull = $from.pull;
        $to.permission_profile.clone_from(&$from.permission_profile);
        $to.cpus = $from.cpus;
        $to.memory_bytes = $from.memory_bytes;
        $to.pids_limit = $from.pids_limit;
        $to.allow_weaker = $from.allow_weaker;
        $to.container.clone_from(&$from.container);
        $to.stop_timeout_ms = $from.stop_timeout_ms;
    };
}
pub(crate) use set_alike;

/// A request to create and start a workload. Its values have their types; the command layer validates the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRequest {
    /// SERVER.
    pub server: String,
    /// SERVER names an image, also where a command or a file has this name.
    pub is_image: bool,
    /// Arguments of the server.
    pub args: Vec<String>,
    /// Its name; derived from SERVER if absent.
    pub name: Option<String>,
    /// The text that its name is derived from in the place of SERVER: the script that SERVER runs.
    pub named_after: Option<String>,
    /// The runtime; chosen if absent.
    pub runtime: Option<String>,
    /// Options of the runtime that override the user's configuration, by names that the runtime defines. A runtime that
    /// does not declare one of them refuses the request.
    pub runtime_options: BTreeMap<String, String>,
    /// The server's wire.
    pub transport: Transport,
    /// The number of servers for its clients: one, or one for each session.
    pub instances: Instances,
    /// The address on which the proxy listens.
    pub host: String,
    /// The proxy's port; 0 for any.
    pub proxy_port: u16,
    /// The clients that may use the proxy.
    pub auth: ProxyAuth,
    /// The proxy also listens on a Unix socket that only its user can open.
    pub unix_socket: bool,
    /// Web origins that may call the proxy, beside the proxy's own, as `scheme://host[:port]`.
    pub allowed_origins: Vec<String>,
    /// Names, beside those of loopback, under which clients reach the proxy.
    pub allowed_hosts: Vec<String>,
    /// The path at which the server serves MCP (HTTP); empty for `/mcp`.
    pub target_path: String,
    /// The port on which the server listens (HTTP); 0 for any, told to it through its environment.
    pub target_port: u16,
    /// The directory that it runs in: of this machine, or of its image.
    pub working_dir: Option<String>,
    /// If `working_dir` is absent, a command runs in the caller's own directory; else the runtime chooses one.
    pub runs_here: bool,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Secrets, as `NAME,target=VARIABLE`.
    pub secrets: Vec<String>,
    /// Files and folders of this machine in the workload, as `host:workload[:ro]`, or `path[:ro]` for the same place.
    pub volumes: Vec<String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// Its group.
    pub group: String,
    /// The user of the image that it runs as; the image's own user if absent.
    pub user: Option<String>,
    /// When to fetch its image.
    pub pull: Option<PullPolicy>,
    /// The files and the network that it may use, in ToolHive's form; the runtime's choice if absent.
    pub permission_profile: Option<serde_json::Value>,
    /// At most this many processors.
    pub cpus: Option<f64>,
    /// At most so much memory.
    pub memory_bytes: Option<u64>,
    /// At most this many processes and threads.
    pub pids_limit: Option<u64>,
    /// Parts that cannot be enforced are left out instead of being refused.
    pub allow_weaker: bool,
    /// Options that only a runtime that makes containers can honour.
    pub container: ContainerOptions,
    /// How long it may take to end by itself when it is stopped.
    pub stop_timeout_ms: Option<u64>,
    /// Its restart policy.
    pub restart: RestartPolicy,
}

impl RunRequest {
    /// A request with only the defaults.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            is_image: false,
            args: Vec::new(),
            name: None,
            named_after: None,
            runtime: None,
            runtime_options: BTreeMap::new(),
            transport: Transport::Stdio,
            instances: Instances::default(),
            host: "127.0.0.1".to_owned(),
            proxy_port: 0,
            auth: ProxyAuth::Path,
            unix_socket: false,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            target_path: String::new(),
            target_port: 0,
            working_dir: None,
            runs_here: true,
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
            container: ContainerOptions::default(),
            stop_timeout_ms: None,
            restart: RestartPolicy::default(),
        }
    }

    /// The request for a copy of an exported workload. Identity and owner are not taken over: it is another workload,
    /// created here and now; its runtime is asked for by name.
    pub fn from_config(config: &RunConfig) -> Self {
        let server = if config.server.is_empty() { &config.image } else { &config.server };
        Self {
            server: server.clone(),
            is_image: config.server.is_empty(),
            args: config.cmd_args.clone(),
            name: Some(config.name.to_string()),
            named_after: None,
            runtime: (!config.runtime_name.trim().is_empty()).then(|| config.runtime_name.clone()),
            runtime_options: config.runtime_options.clone(),
            transport: config.transport,
            instances: config.instances,
            host: config.host.clone(),
            proxy_port: config.port,
            // A RunConfig without `proxy_auth` is from a version that had no secrets; a new workload gets today's default.
            auth: config.proxy_auth.unwrap_or(ProxyAuth::Path),
            unix_socket: config.unix_socket,
            allowed_origins: config.allowed_origins.clone(),
            allowed_hosts: config.allowed_hosts.clone(),
            target_path: config.target_path.clone(),
            target_port: config.target_port,
            working_dir: (!config.working_dir.is_empty()).then(|| config.working_dir.clone()),
            runs_here: true,
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
            container: config.container.clone(),
            stop_timeout_ms: config.stop_timeout_ms,
            restart: config.restart,
        }
    }
}

/// A workload that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Started {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its runtime.
    pub runtime_name: String,
    /// The URL for clients; empty if the command did not wait for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The proxy's port.
    pub port: u16,
    /// It was running already.
    #[serde(default)]
    pub already_running: bool,
}
