//! The body of a creation: ToolHive's `createRequest`, with fields of wharf's own beside it.
//!
//! Called by the routes that create, edit and show a configuration. What ToolHive has and wharf cannot honour is refused by
//! name: nothing that is asked for is silently ignored.
use crate::api::once::Once;
use crate::api::schemas::Refer;
use crate::commands::{RunRequest, set_alike};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use wharf_model::{
    Error, ErrorKind, Instances, ProxyAuth, ProxyMode, RestartPolicy, Result, RunConfig, Transport,
    WorkloadName,
};
use wharf_sdk::{ContainerOptions, PullPolicy};

/// Fields of ToolHive's that have no meaning here. One that asks for nothing is left out, any other is refused.
const NOT_HONOURED: [&str; 16] = [
    "allow_docker_gateway",
    "authz_config",
    "header_forward",
    "headers",
    "network_isolation",
    "oauth_config",
    "oidc",
    "registry",
    "runtime_config",
    "tools",
    "tools_override",
    "trust_proxy_headers",
    "url",
    "audit_config",
    "telemetry_config",
    "token_exchange_config",
];

/// Fields with one of a few words: ToolHive's clients write none as an empty text.
const CHOICES: [&str; 6] = ["auth", "instances", "proxy_mode", "pull", "restart", "transport"];

/// A secret and the variable that it goes into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretTarget {
    /// The file `secrets/NAME` of the configuration.
    pub(crate) name: String,
    /// The variable.
    pub(crate) target: String,
}

/// The description of a new workload. One of `server` and `image` is needed; they mean the same. Fields of ToolHive that wharf
/// cannot honour are refused unless they ask for nothing.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Described {
    /// Its name; made from what is run where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// An npx:// or uvx:// package, a command, an absolute path, or an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    /// The same, by ToolHive's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    /// Arguments for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cmd_arguments: Vec<String>,
    /// The runtime that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<String>,
    /// Further settings of the runtime, by the runtime's own names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) runtime_options: BTreeMap<String, String>,
    /// How the server is spoken to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = Refer::transport, required = false)]
    pub(crate) transport: Option<Transport>,
    /// Whether all clients share one server, or each session has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = Refer::instances, required = false)]
    pub(crate) instances: Option<Instances>,
    /// How clients speak to its proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = Refer::proxy_mode, required = false)]
    pub(crate) proxy_mode: Option<ProxyMode>,
    /// The address that the proxy listens on; others than loopback need `auth` to be `bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// The port of its URL; one that is free for 0.
    pub(crate) proxy_port: u16,
    /// The port that an HTTP server listens on; one that is free, told to it, for 0.
    pub(crate) target_port: u16,
    /// Whom the proxy serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = Refer::auth, required = false)]
    pub(crate) auth: Option<ProxyAuth>,
    /// Its user is served on a Unix socket, too.
    pub(crate) unix_socket: bool,
    /// Pages that may ask the proxy besides, as scheme://host[:port].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) allowed_origins: Vec<String>,
    /// Names of hosts by which clients ask the proxy besides, as name[:port].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) allowed_hosts: Vec<String>,
    /// The path at which an HTTP server serves MCP; /mcp where nothing is said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) target_path: String,
    /// The folder that a command runs in; a folder of its own where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) working_dir: Option<String>,
    /// Its variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) env_vars: BTreeMap<String, String>,
    /// Its secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) secrets: Vec<SecretTarget>,
    /// Files and folders of this machine in it, as host:workload[:ro].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) volumes: Vec<String>,
    /// Its labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    /// The group that it is listed under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// As which user of its image it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// When its image is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = Refer::pull, required = false)]
    pub(crate) pull: Option<PullPolicy>,
    /// The files and the network that it may use, in ToolHive's form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) permission_profile: Option<Value>,
    /// At most so many processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpus: Option<f64>,
    /// At most so much memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<u64>,
    /// At most so many processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pids_limit: Option<u64>,
    /// True: a restriction that cannot be enforced here is left out, instead of refusing the workload.
    pub(crate) allow_weaker: bool,
    /// What only containers have: ulimits, cap_add, network, add_hosts, entrypoint, no_init, platform, shm_size_bytes, tmpfs.
    #[serde(skip_serializing_if = "ContainerOptions::is_empty")]
    #[schema(schema_with = Refer::container, required = false)]
    pub(crate) container: ContainerOptions,
    /// How long it may take to end by itself when it is stopped, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_timeout_ms: Option<u64>,
    /// When it is started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = Refer::restart, required = false)]
    pub(crate) restart: Option<RestartPolicy>,
}

/// [`Described`], read with what is not honoured refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct CreateRequest(pub(crate) Described);

impl std::ops::Deref for CreateRequest {
    type Target = Described;

    fn deref(&self) -> &Described {
        &self.0
    }
}

impl<'de> Deserialize<'de> for CreateRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        use serde::de::Error as _;
        let Once(mut fields) = Once::deserialize(deserializer)?;
        for name in NOT_HONOURED {
            if fields.remove(name).is_some_and(|value| asks_for_something(&value)) {
                return Err(D::Error::custom(format!("'{name}' is not supported")));
            }
        }
        // ToolHive's clients say null where they say nothing.
        fields.retain(|name, value| !(value.is_null() || (CHOICES.contains(&name.as_str()) && value == "")));
        serde_json::from_value(Value::Object(fields)).map(Self).map_err(D::Error::custom)
    }
}

fn asks_for_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => fields.values().any(asks_for_something),
    }
}

/// Treats an empty value as absent: ToolHive's clients write it so.
fn said(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

impl Described {
    /// The request to the command layer, which validates it.
    pub(crate) fn to_run_request(&self) -> Result<RunRequest> {
        let usage = |message: &str| Error::new(ErrorKind::Usage, message);
        let server = match (said(self.server.as_ref()), said(self.image.as_ref())) {
            (Some(server), None) | (None, Some(server)) => server,
            (None, None) => return Err(usage("one of 'server' and 'image' is needed: what to run")),
            (Some(_), Some(_)) => return Err(usage("'server' and 'image' mean the same: say one of them")),
        };
        // Where a relative path begins is nothing that a client knows.
        if server.starts_with('.') {
            return Err(usage("a path is absolute here"));
        }
        if server.contains('\0') {
            return Err(usage("'server' has a zero in it"));
        }
        let has_scheme = server.contains("://");
        // ToolHive's `image` runs in a container, whatever this machine has by that name; so does a server with a slash that
        // is no absolute path.
        let is_image = said(self.image.as_ref()).is_some() && !has_scheme && !server.starts_with('/')
            || server.contains('/') && !has_scheme && !server.starts_with('/');
        if self.working_dir.as_ref().is_some_and(|folder| !folder.is_empty() && !folder.starts_with('/')) {
            return Err(usage("'working_dir' is an absolute path"));
        }
        if self.proxy_mode.is_some_and(|mode| mode != ProxyMode::StreamableHttp) {
            return Err(usage("'proxy_mode' is streamable-http: the others are not supported"));
        }
        if let Some(name) = said(self.name.as_ref()) {
            WorkloadName::new(name)?;
        }
        let mut request = RunRequest::new(server);
        request.is_image = is_image;
        request.args = self.cmd_arguments.clone();
        request.name = said(self.name.as_ref());
        request.runtime = said(self.runtime.as_ref());
        request.runtime_options = self.runtime_options.clone();
        request.transport = self.transport.unwrap_or_default();
        request.instances = self.instances.unwrap_or_default();
        if let Some(host) = said(self.host.as_ref()) {
            request.host = host;
        }
        request.proxy_port = self.proxy_port;
        request.auth = self.auth.unwrap_or(request.auth);
        request.target_port = self.target_port;
        request.working_dir = said(self.working_dir.as_ref());
        request.runs_here = false;
        request.env = self.env_vars.clone();
        let secrets = self.secrets.iter();
        request.secrets = secrets.map(|secret| format!("{},target={}", secret.name, secret.target)).collect();
        if let Some(group) = said(self.group.as_ref()) {
            request.group = group;
        }
        request.user = said(self.user.as_ref());
        request.volumes.clone_from(&self.volumes);
        set_alike!(request, self);
        request.restart = self.restart.unwrap_or_default();
        Ok(request)
    }

    /// The request for a workload that exists to become what this describes. What is not said of its runtime, its port and
    /// whom it serves stays; everything else is as in a creation.
    pub(crate) fn change(&self, before: RunRequest) -> Result<RunRequest> {
        let mut request = self.to_run_request()?;
        request.name = request.name.or(before.name);
        request.runtime = request.runtime.or(before.runtime);
        if request.runtime_options.is_empty() {
            request.runtime_options = before.runtime_options;
        }
        request.auth = self.auth.unwrap_or(before.auth);
        Ok(request)
    }

    /// The description that a workload was made from.
    pub(crate) fn of(run: &RunConfig) -> Self {
        let some = |text: &String| said(Some(text));
        Self {
            name: Some(run.name.to_string()),
            server: some(&run.server),
            image: some(&run.image),
            cmd_arguments: run.cmd_args.clone(),
            runtime: some(&run.runtime_name),
            runtime_options: run.runtime_options.clone(),
            transport: Some(run.transport),
            instances: Some(run.instances),
            proxy_mode: Some(run.proxy_mode),
            host: some(&run.host),
            proxy_port: run.port,
            target_port: run.target_port,
            auth: Some(run.auth()),
            unix_socket: run.unix_socket,
            allowed_origins: run.allowed_origins.clone(),
            allowed_hosts: run.allowed_hosts.clone(),
            target_path: run.target_path.clone(),
            working_dir: some(&run.working_dir),
            env_vars: run.env_vars.clone(),
            secrets: run.secrets.iter().map(|text| secret_target(text)).collect(),
            volumes: run.volumes.clone(),
            labels: run.labels.clone(),
            group: some(&run.group),
            user: some(&run.user),
            pull: run.pull,
            permission_profile: run.permission_profile.clone(),
            cpus: run.cpus,
            memory_bytes: run.memory_bytes,
            pids_limit: run.pids_limit,
            allow_weaker: run.allow_weaker,
            container: run.container.clone(),
            stop_timeout_ms: run.stop_timeout_ms,
            restart: Some(run.restart),
        }
    }
}

fn secret_target(text: &str) -> SecretTarget {
    let (name, target) = text.split_once(",target=").unwrap_or((text, ""));
    SecretTarget { name: name.to_owned(), target: target.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> std::result::Result<CreateRequest, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn empty_and_default_fields_of_toolhives_clients_are_accepted() {
        let request = read(json!({
            "name": "time", "image": "mcp/time:latest", "host": "", "cmd_arguments": [], "target_port": 0,
            "env_vars": {}, "secrets": [], "volumes": [], "transport": "", "tools": [], "oidc": {
                "issuer": "", "audience": "" }, "network_isolation": false, "permission_profile": null,
            "proxy_mode": "streamable-http", "authz_config": "", "group": "", "headers": [],
        }));
        let request = request.unwrap().to_run_request().unwrap();
        assert_eq!((request.server.as_str(), request.group.as_str()), ("mcp/time:latest", "default"));
        assert!(!request.runs_here, "a server's folder is nobody's");
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        for (field, value) in [
            ("network_isolation", json!(true)),
            ("tools", json!(["a"])),
            ("oidc", json!({ "issuer": "https://x" })),
            ("url", json!("https://x/mcp")),
            ("surprise", json!(null)),
        ] {
            let mut body = json!({ "image": "x" });
            body[field] = value.clone();
            let refused = read(body);
            if value.is_null() {
                assert!(refused.is_ok(), "null says nothing");
            } else {
                assert!(refused.unwrap_err().contains(field), "{field}");
            }
        }
        assert!(read(json!({ "image": "x", "surprise": 1 })).unwrap_err().contains("surprise"));
        assert!(read(json!([1])).is_err());
        let twice = serde_json::from_str::<CreateRequest>(r#"{ "image": "x", "image": "y" }"#);
        assert!(twice.unwrap_err().to_string().contains("'image' is there twice"));
    }

    #[test]
    fn a_create_request_has_one_of_server_and_image_and_an_absolute_path() {
        for (wanted, body) in [
            ("what to run", json!({})),
            ("what to run", json!({ "image": "" })),
            ("say one of them", json!({ "image": "x", "server": "y" })),
            ("a path is absolute", json!({ "server": "./x" })),
            ("a zero in it", json!({ "server": "npx://x\0y" })),
            ("absolute path", json!({ "server": "x", "working_dir": "x" })),
            ("proxy_mode", json!({ "server": "x", "proxy_mode": "sse" })),
        ] {
            let error = read(body).unwrap().to_run_request().unwrap_err();
            assert!(error.message.contains(wanted) && error.kind == ErrorKind::Usage, "{error}");
        }
    }
}
