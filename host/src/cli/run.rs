//! `run`.
use super::console::{Console, Format};
use super::failure::{DONE, Outcome};
use super::foreground;
use super::from_config;
use super::progress::Steps;
use super::run_options::{
    cpus, environment, pair, permission_profile, refuse_unsupported, size, volume_from,
};
use super::url::AuthOption;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wharf::commands::{Manager, RunRequest, Started};
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{ProxyAuth, RestartPolicy, Transport, WorkloadName};
use wharf_sdk::PullPolicy;

const EXAMPLES: &str = "Examples:
  wharf run uvx://mcp-server-time
  wharf run npx://@modelcontextprotocol/server-everything --name everything
  wharf run ./server.py -e LEVEL=debug --secret token,target=API_TOKEN -- --root /srv
  wharf run --transport streamable-http --target-port 9000 ./http-server
  wharf export time | wharf run --from-config - --name time-2

JSON: an object of name, uid, runtime_name, url, port, already_running. Keys are absent when empty.";

/// Create a workload and start it; prints the URL for its clients when it is ready
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Run {
    /// An npx:// or uvx:// package, a command or a path, or an image
    #[arg(required_unless_present = "from_config")]
    server: Option<String>,
    /// Arguments for it
    #[arg(last = true)]
    args: Vec<String>,
    /// Its name; made from SERVER where none is given
    #[arg(long)]
    name: Option<WorkloadName>,
    /// The runtime that runs it, see: wharf runtime list [env: WHARF_RUNTIME]
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
    /// How the server is spoken to [default: stdio]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "stdio|streamable-http|sse")]
    pub(super) transport: Option<TransportOption>,
    /// How clients speak to the proxy of a stdio server [default: streamable-http]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "streamable-http|sse")]
    pub(super) proxy_mode: Option<ProxyModeOption>,
    /// The port of the URL; one that is free where none is given
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    proxy_port: Option<u16>,
    /// The port that an HTTP server listens on; one that is free, told to it as PORT and MCP_PORT, where none is given
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    target_port: Option<u16>,
    /// The address that the proxy listens on; others than loopback need --auth bearer [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// Whom the proxy serves: who knows the URL, who sends a token, or everybody on this machine [default: path]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "path|bearer|none")]
    auth: Option<AuthOption>,
    /// A page that may ask the proxy, as scheme://host[:port]; can be given several times
    ///
    /// Pages on localhost may without it, unless everybody is served.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// A variable for the server; KEY alone takes its value from here
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub(super) env: Vec<String>,
    /// A file with variables, one a line
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Vec<PathBuf>,
    /// A secret for the server, from the file secrets/NAME of the configuration
    #[arg(long, value_name = "NAME,target=VARIABLE")]
    secret: Vec<String>,
    /// A file or folder of this machine in the workload; can be given several times
    #[arg(short, long, value_name = "HOST:WORKLOAD[:ro]")]
    volume: Vec<String>,
    /// A label
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// The group that it is listed under [default: default]
    #[arg(long)]
    group: Option<String>,
    /// As which user of its image it runs: a name or a number, with :group if wanted
    #[arg(long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// When its image is fetched [default: missing]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "always|missing|never")]
    pull: Option<PullOption>,
    /// What it may touch: nothing of yours (none), the network (network), or what a file says
    #[arg(long, value_name = "none|network|FILE")]
    permission_profile: Option<String>,
    /// How many processors it may use, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = cpus)]
    cpus: Option<f64>,
    /// How much memory it may use, such as 512m
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// How many processes and threads it may have
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pids_limit: Option<u64>,
    /// Run it even if not all of this can be enforced here; wharf status tells what is not
    #[arg(long)]
    allow_weaker: bool,
    /// When it is started again [default: unless-stopped]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "no|on-failure|always|unless-stopped")]
    restart: Option<RestartOption>,
    /// Take everything from a RunConfig, see: wharf export; - reads stdin
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "server", "args", "transport", "proxy_mode", "target_port", "host", "auth", "allow_origin", "env", "env_file", "secret",
            "volume", "label", "group", "user", "pull", "permission_profile", "cpus", "memory", "pids_limit", "restart",
        ]
    )]
    from_config: Option<PathBuf>,
    /// Stay, and stop it with Ctrl-C
    #[arg(short, long)]
    foreground: bool,
    /// Do not wait until it is ready; prints its name
    #[arg(long, conflicts_with = "foreground")]
    no_wait: bool,
    /// Print the URL and errors, nothing else
    #[arg(short, long)]
    quiet: bool,
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

/// `--restart`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RestartOption {
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
enum PullOption {
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

impl Run {
    pub(super) async fn execute(&self, manager: &Manager, console: &Arc<Console>) -> Outcome {
        refuse_unsupported(self)?;
        let request = self.request(&manager.config().current_dir)?;
        if self.foreground {
            return foreground::run(manager, &request, console, self.quiet, self.format).await;
        }
        let mut steps = Steps::new(console, self.quiet, "");
        let started = manager.run(&request, !self.no_wait, &mut steps).await?;
        drop(steps);
        self.tell(&started, console)?;
        if request.auth == ProxyAuth::Bearer && !self.quiet && self.format == Format::Text {
            console.note(&format!("its clients send a token: wharf url {} --token", started.name));
        }
        Ok(DONE)
    }

    fn tell(&self, started: &Started, console: &Console) -> std::io::Result<()> {
        match (self.format, self.no_wait) {
            (Format::Json, _) => console.json(started)?,
            (Format::Text, true) => console.line(&started.name)?,
            (Format::Text, false) => console.line(&started.url)?,
        }
        if !self.quiet && !self.no_wait && self.format == Format::Text {
            say_ready(console, &started.name, &started.runtime_name);
        }
        Ok(())
    }

    fn request(&self, current_dir: &Path) -> Result<RunRequest> {
        let mut request = match (&self.from_config, &self.server) {
            (Some(path), _) => from_config::read(path)?,
            (None, server) => self.described(server.as_deref().unwrap_or_default(), current_dir)?,
        };
        request.allow_weaker |= self.allow_weaker;
        if let Some(name) = &self.name {
            // A copy under another name runs beside the first: it gets a port of its own.
            if request.name.as_deref().is_some_and(|other| other != name.as_str()) {
                request.proxy_port = 0;
            }
            request.name = Some(name.to_string());
        }
        if let Some(runtime) = &self.runtime {
            request.runtime = Some(runtime.clone());
        }
        if let Some(port) = self.proxy_port {
            request.proxy_port = port;
        }
        Ok(request)
    }

    fn described(&self, server: &str, current_dir: &Path) -> Result<RunRequest> {
        let mut request = RunRequest::new(server);
        request.args = self.args.clone();
        request.transport = self.transport.map(Transport::from).unwrap_or_default();
        request.target_port = self.target_port.unwrap_or(0);
        if let Some(host) = &self.host {
            request.host = host.clone();
        }
        request.auth = self.auth.map_or(request.auth, ProxyAuth::from);
        request.allowed_origins = self.allow_origin.clone();
        request.env = environment(self)?;
        request.secrets = self.secret.clone();
        request.volumes = self.volume.iter().map(|volume| volume_from(volume, current_dir)).collect();
        request.labels = self.label.iter().cloned().collect();
        if let Some(group) = &self.group {
            request.group = group.clone();
        }
        request.user = self.user.clone();
        request.pull = self.pull.map(PullPolicy::from);
        if let Some(given) = &self.permission_profile {
            let profile = serde_json::to_value(permission_profile(given)?);
            request.permission_profile = Some(profile.map_err(|error| {
                Error::caused(ErrorKind::Failed, "the permission profile cannot be kept", &error)
            })?);
        }
        request.cpus = self.cpus;
        request.memory_bytes = self.memory;
        request.pids_limit = self.pids_limit;
        request.restart = self.restart.map(RestartPolicy::from).unwrap_or_default();
        Ok(request)
    }
}

/// A friendly word for who sits at a terminal.
pub(super) fn say_ready(console: &Console, name: &str, runtime: &str) {
    if console.stderr_is_terminal {
        console.note(&format!("{name} is ready ({runtime})"));
    }
}
