//! The arguments of `wharf run`.
use super::console::Format;
use super::run_values::pair;
use super::shared_arguments::{ContainerArguments, LimitArguments, VariableArguments};
use super::stop_timeout::seconds;
use super::url::AuthOption;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;
use wharf_model::{Instances, RestartPolicy, Transport, WorkloadName};
use wharf_sdk::PullPolicy;

const EXAMPLES: &str = "Examples:
  wharf run uvx://mcp-server-time
  wharf run --name everything npx://@modelcontextprotocol/server-everything
  wharf run --name docs -- npx -y @modelcontextprotocol/server-everything
  wharf run -v ~/docs:ro npx://@modelcontextprotocol/server-filesystem ~/docs
  wharf run -e LEVEL=debug --secret token,target=API_TOKEN ./server.py --root /srv
  wharf run --transport streamable-http --target-port 9000 ./http-server
  wharf export time | wharf run --from-config - --name time-2

JSON: an object of name, uid, runtime_name, url, port, already_running. Keys are absent when empty.";

/// Create a workload and start it; prints the URL for its clients when it is ready
///
/// Everything after SERVER is SERVER's own; one `--` before or after SERVER is dropped. The file of a script (.py .js .mjs
/// .ts .sh) is run with its interpreter where it cannot be executed itself.
#[derive(Args)]
#[command(after_long_help = EXAMPLES, override_usage = "wharf run [OPTIONS] SERVER [ARG]...")]
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
    /// How the server is spoken to [default: stdio]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "stdio|streamable-http|sse")]
    pub(super) transport: Option<TransportOption>,
    /// How clients speak to the proxy of a stdio server [default: streamable-http]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "streamable-http|sse")]
    pub(super) proxy_mode: Option<ProxyModeOption>,
    /// One server that all clients share, or one for each session of a client [default: shared]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "shared|per-session")]
    pub(super) instances: Option<InstancesOption>,
    /// The port of the URL; one that is free where none is given
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) proxy_port: Option<u16>,
    /// The port that an HTTP server listens on; one that is free, told to it as PORT and MCP_PORT, where none is given
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) target_port: Option<u16>,
    /// The path at which an HTTP server serves MCP [default: /mcp]
    #[arg(long, value_name = "PATH")]
    pub(super) target_path: Option<String>,
    /// The address that the proxy listens on; others than loopback need --auth bearer [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) host: Option<String>,
    /// Whom the proxy serves: who knows the URL, who sends a token, or everybody on this machine [default: path]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "path|bearer|none")]
    pub(super) auth: Option<AuthOption>,
    /// Serve you on a Unix socket too, without a secret, see: wharf url NAME --unix-socket
    #[arg(long)]
    pub(super) unix_socket: bool,
    /// Another name that clients reach the proxy by, as name[:port]; can be given several times
    ///
    /// Names of loopback need not be given, and with --auth bearer none.
    #[arg(long, value_name = "HOST")]
    pub(super) allow_host: Vec<String>,
    /// A page that may ask the proxy, as scheme://host[:port]; can be given several times
    ///
    /// Pages on localhost may without it, unless everybody is served.
    #[arg(long, value_name = "ORIGIN")]
    pub(super) allow_origin: Vec<String>,
    #[command(flatten)]
    pub(super) variables: VariableArguments,
    /// A secret for the server, from the file secrets/NAME of the configuration
    #[arg(long, value_name = "NAME,target=VARIABLE")]
    pub(super) secret: Vec<String>,
    /// A file or folder of this machine, or a volume of the engine by its name, in the workload; can be given several times
    ///
    /// A path is absolute, or begins with ./ for the current folder; without WORKLOAD it is at the same place in the workload.
    /// Options behind it: ro, and z or Z where SELinux wants a label.
    #[arg(short, long, value_name = "SOURCE[:WORKLOAD][:ro]")]
    pub(super) volume: Vec<String>,
    /// The folder that it runs in: of this machine for a command, of the image for an image
    #[arg(short = 'w', long, visible_alias = "working-dir", value_name = "FOLDER")]
    pub(super) workdir: Option<String>,
    /// A label
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) label: Vec<(String, String)>,
    /// The group that it is listed under [default: default]
    #[arg(long)]
    pub(super) group: Option<String>,
    #[command(flatten)]
    pub(super) container: ContainerArguments,
    /// Run the server as the first process of its container, without an init
    #[arg(long)]
    pub(super) no_init: bool,
    /// The platform whose image is run, such as linux/arm64
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    pub(super) platform: Option<String>,
    /// Seconds that it may take to end by itself when it is stopped, before it is killed [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(super) stop_timeout: Option<Duration>,
    /// When its image is fetched [default: missing]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "always|missing|never")]
    pub(super) pull: Option<PullOption>,
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
    /// Stay, and stop it with Ctrl-C
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

/// `--transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TransportOption {
    Stdio,
    StreamableHttp,
    Sse,
}

impl TransportOption {
    pub(super) fn is_sse(self) -> bool {
        self == Self::Sse
    }
}

impl From<TransportOption> for Transport {
    fn from(option: TransportOption) -> Self {
        match option {
            TransportOption::Stdio => Self::Stdio,
            TransportOption::StreamableHttp => Self::StreamableHttp,
            TransportOption::Sse => Self::Sse,
        }
    }
}

/// `--proxy-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProxyModeOption {
    StreamableHttp,
    Sse,
}

/// `--instances`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum InstancesOption {
    Shared,
    PerSession,
}

impl From<InstancesOption> for Instances {
    fn from(option: InstancesOption) -> Self {
        match option {
            InstancesOption::Shared => Self::Shared,
            InstancesOption::PerSession => Self::PerSession,
        }
    }
}

/// `--restart`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RestartOption {
    No,
    OnFailure,
    Always,
    UnlessStopped,
}

impl From<RestartOption> for RestartPolicy {
    fn from(option: RestartOption) -> Self {
        match option {
            RestartOption::No => Self::No,
            RestartOption::OnFailure => Self::OnFailure,
            RestartOption::Always => Self::Always,
            RestartOption::UnlessStopped => Self::UnlessStopped,
        }
    }
}

/// `--pull`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PullOption {
    Always,
    Missing,
    Never,
}

impl From<PullOption> for PullPolicy {
    fn from(option: PullOption) -> Self {
        match option {
            PullOption::Always => Self::Always,
            PullOption::Missing => Self::Missing,
            PullOption::Never => Self::Never,
        }
    }
}
