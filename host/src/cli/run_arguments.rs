//! The arguments of `wharf run`.
use super::console::Format;
use super::shared_arguments::{
    ContainerArguments, GivenArguments, LimitArguments, RestartOption, VariableArguments, WireArguments,
};
use super::stop_timeout::seconds;
use super::url::AuthOption;
use clap::{Arg, Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;
use wharf_model::WorkloadName;

const EXAMPLES: &str = "Examples:
  wharf run uvx://mcp-server-time
  wharf run --name everything npx://@modelcontextprotocol/server-everything
  wharf run --name docs -- npx -y @modelcontextprotocol/server-everything
  wharf run -v ~/docs:ro npx://@modelcontextprotocol/server-filesystem ~/docs
  wharf run -e LEVEL=debug --secret token,target=API_TOKEN ./server.py --root /srv
  wharf run --transport streamable-http --target-port 9000 ./http-server
  wharf export time | wharf run --from-config - --name time-2

JSON: an object of name, uid, runtime_name, url, port, already_running. Keys are absent when empty.";

/// The defaults of options that `wharf edit` has, too, where there are none: what is not named stays.
const DEFAULTS: [(&str, &str); 8] = [
    ("transport", "stdio"),
    ("instances", "shared"),
    ("proxy_port", "one that is free"),
    ("target_port", "one that is free, told to it as PORT and MCP_PORT"),
    ("target_path", "/mcp"),
    ("host", "127.0.0.1"),
    ("group", "default"),
    ("pull", "missing"),
];

/// The option, with its default in its help.
fn with_default(option: Arg) -> Arg {
    let default = DEFAULTS.iter().find(|(id, _)| option.get_id() == *id);
    let Some(((_, default), help)) = default.zip(option.get_help()) else { return option };
    let help = format!("{help} [default: {default}]");
    option.help(help)
}

/// Create a workload and start it; prints the URL for its clients when it is ready
///
/// Everything after SERVER is SERVER's own; one `--` before or after SERVER is dropped. The file of a script (.py .js .mjs
/// .ts .sh) is run with its interpreter where it cannot be executed itself.
#[derive(Args)]
#[command(after_long_help = EXAMPLES, override_usage = "wharf run [OPTIONS] SERVER [ARG]...", mut_args(with_default))]
pub(super) struct Run {
    /// An npx:// or uvx:// package, a command, a script or a path, or an image
    #[arg(required_unless_present = "from_config")]
    pub(super) server: Option<String>,
    /// Arguments for it
    #[arg(last = true)]
    pub(super) args: Vec<String>,
    /// Its name; made from SERVER where none is given
    #[arg(long)]
    pub(super) name: Option<WorkloadName>,
    /// The runtime that runs it, see: wharf runtime list [env: WHARF_RUNTIME]
    #[arg(long, value_name = "NAME")]
    pub(super) runtime: Option<String>,
    /// The context of the kubeconfig that says which cluster runs it [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub(super) kube_context: Option<String>,
    /// The namespace of the cluster that it is run in [default: the context's]
    #[arg(long, value_name = "NAME")]
    pub(super) namespace: Option<String>,
    #[command(flatten)]
    pub(super) wire: WireArguments,
    /// How clients speak to the proxy of a stdio server [default: streamable-http]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "streamable-http|sse")]
    pub(super) proxy_mode: Option<ProxyModeOption>,
    /// Whom the proxy serves: who knows the URL, who sends a token, or everybody on this machine [default: path]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "path|bearer|none")]
    pub(super) auth: Option<AuthOption>,
    /// Serve you on a Unix socket too, without a secret, see: wharf url NAME --unix-socket
    #[arg(long)]
    pub(super) unix_socket: bool,
    #[command(flatten)]
    pub(super) variables: VariableArguments,
    #[command(flatten)]
    pub(super) given: GivenArguments,
    #[command(flatten)]
    pub(super) container: ContainerArguments,
    /// Run the server as the first process of its container, without an init
    #[arg(long)]
    pub(super) no_init: bool,
    /// Seconds that it may take to end by itself when it is stopped, before it is killed [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(super) stop_timeout: Option<Duration>,
    #[command(flatten)]
    pub(super) limits: LimitArguments,
    /// Run it even if not all of this can be enforced here; wharf status tells what is not
    #[arg(long)]
    pub(super) allow_weaker: bool,
    /// When it is started again [default: unless-stopped]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "no|on-failure|always|unless-stopped")]
    pub(super) restart: Option<RestartOption>,
    /// Take everything from a RunConfig, see: wharf export; - reads stdin
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "server", "args", "transport", "proxy_mode", "instances", "target_port", "target_path", "host", "auth", "allow_host", "allow_origin", "env", "env_file", "secret",
            "volume", "workdir", "entrypoint", "network", "add_host", "tmpfs", "shm_size", "cap_add", "ulimit", "no_init",
            "platform", "stop_timeout", "label", "group", "user", "pull", "permission_profile", "cpus", "memory", "pids_limit", "restart",
        ]
    )]
    pub(super) from_config: Option<PathBuf>,
    /// Stay until it ends; Ctrl-C stops it
    #[arg(short, long)]
    pub(super) foreground: bool,
    /// Do not wait until it is ready; prints its name
    #[arg(long, conflicts_with = "foreground")]
    pub(super) no_wait: bool,
    /// Print the URL and errors, nothing else
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// `--proxy-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProxyModeOption {
    StreamableHttp,
    Sse,
}
