//! Arguments that `wharf run` and `wharf edit` share, and what each makes of a request: what was given takes the place of what
//! there was. `run` adds the defaults to their help.
use super::run_values::{cpus, pair, size, ulimit, volume_from};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use wharf::commands::RunRequest;
use wharf_model::{Instances, RestartPolicy, Result, Transport};
use wharf_sdk::{PullPolicy, Ulimit};

/// How the server is spoken to, and where its proxy listens.
#[derive(Args)]
pub(super) struct WireArguments {
    /// The server's own transport: its stdin and stdout, or HTTP on a port
    #[arg(long, value_enum, hide_possible_values = true, value_name = "stdio|streamable-http")]
    pub(super) transport: Option<TransportOption>,
    /// One server that all clients share, or one for each session of a client
    #[arg(long, value_enum, hide_possible_values = true, value_name = "shared|per-session")]
    pub(super) instances: Option<InstancesOption>,
    /// The port of the URL
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) proxy_port: Option<u16>,
    /// The port that an HTTP server listens on
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) target_port: Option<u16>,
    /// The path at which an HTTP server serves MCP
    #[arg(long, value_name = "PATH")]
    pub(super) target_path: Option<String>,
    /// The address that the proxy listens on; others than loopback need --auth bearer (of run or url)
    #[arg(long, value_name = "ADDRESS")]
    pub(super) host: Option<String>,
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
}

/// Variables for the server.
#[derive(Args)]
pub(super) struct VariableArguments {
    /// A variable for the server; KEY alone takes its value from your environment
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub(super) env: Vec<String>,
    /// A file with variables, one a line
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Vec<PathBuf>,
}

/// What the workload has of this machine, and what it is listed under.
#[derive(Args)]
pub(super) struct GivenArguments {
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
    /// The group that it is listed under
    #[arg(long)]
    pub(super) group: Option<String>,
}

/// Options that are about an image and its container.
#[derive(Args)]
pub(super) struct ContainerArguments {
    /// As which user of its image it runs: a name or a number, with :group if wanted
    #[arg(long, value_name = "USER[:GROUP]")]
    pub(super) user: Option<String>,
    /// The program of its image that it runs instead of the image's own
    #[arg(long, value_name = "PROGRAM")]
    pub(super) entrypoint: Option<String>,
    /// The network of the engine that it is in: none, bridge, host, or one by its name
    #[arg(long, visible_alias = "net", value_name = "NAME")]
    pub(super) network: Option<String>,
    /// A line in its /etc/hosts: NAME for ADDRESS; host-gateway stands for this machine's address
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub(super) add_host: Vec<String>,
    /// A folder in memory
    #[arg(long, value_name = "PATH[:OPTIONS]")]
    pub(super) tmpfs: Vec<String>,
    /// The size of its shared memory (/dev/shm), such as 64m
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) shm_size: Option<u64>,
    /// A capability of the kernel that it keeps, such as SETUID; all others are dropped
    #[arg(long, value_name = "CAPABILITY")]
    pub(super) cap_add: Vec<String>,
    /// A limit of the kernel for each of its processes, such as nofile=4096
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = ulimit)]
    pub(super) ulimit: Vec<(String, Ulimit)>,
    /// The platform whose image is run, such as linux/arm64
    #[arg(long, value_name = "OS/ARCHITECTURE[/VARIANT]")]
    pub(super) platform: Option<String>,
    /// When its image is fetched
    #[arg(long, value_enum, hide_possible_values = true, value_name = "always|missing|never")]
    pub(super) pull: Option<PullOption>,
}

/// The access and the limits of a workload.
#[derive(Args)]
pub(super) struct LimitArguments {
    /// Its access: nothing of yours (none), the network (network), or the profile in a file
    #[arg(long, value_name = "none|network|FILE")]
    pub(super) permission_profile: Option<String>,
    /// How many processors it may use, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = cpus)]
    pub(super) cpus: Option<f64>,
    /// How much memory it may use, such as 512m
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) memory: Option<u64>,
    /// How many processes and threads it may have
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) pids_limit: Option<u64>,
}

impl WireArguments {
    pub(super) fn put_into(&self, request: &mut RunRequest) {
        put(&mut request.transport, self.transport.map(Into::into));
        put(&mut request.instances, self.instances.map(Into::into));
        put(&mut request.proxy_port, self.proxy_port);
        put(&mut request.target_port, self.target_port);
        put(&mut request.target_path, self.target_path.clone());
        put(&mut request.host, self.host.clone());
        put_all(&mut request.allowed_hosts, self.allow_host.clone());
        put_all(&mut request.allowed_origins, self.allow_origin.clone());
    }
}

impl GivenArguments {
    pub(super) fn put_into(&self, request: &mut RunRequest, current_dir: &Path) -> Result<()> {
        put_all(&mut request.secrets, self.secret.clone());
        let volumes = self.volume.iter().map(|volume| volume_from(volume, current_dir));
        put_all(&mut request.volumes, volumes.collect::<Result<_>>()?);
        put(&mut request.working_dir, self.workdir.clone().map(Some));
        request.labels.extend(self.label.iter().cloned());
        put(&mut request.group, self.group.clone());
        Ok(())
    }
}

impl ContainerArguments {
    pub(super) fn put_into(&self, request: &mut RunRequest) {
        put(&mut request.user, self.user.clone().map(Some));
        let container = &mut request.container;
        put(&mut container.entrypoint, self.entrypoint.clone().map(Some));
        put(&mut container.network, self.network.clone().map(Some));
        put_all(&mut container.add_hosts, self.add_host.clone());
        put_all(&mut container.tmpfs, self.tmpfs.clone());
        put(&mut container.shm_size_bytes, self.shm_size.map(Some));
        put_all(&mut container.cap_add, self.cap_add.clone());
        if !self.ulimit.is_empty() {
            container.ulimits = self.ulimit.iter().cloned().collect();
        }
        put(&mut container.platform, self.platform.clone().map(Some));
        put(&mut request.pull, self.pull.map(|pull| Some(pull.into())));
    }
}

impl LimitArguments {
    /// All but the profile.
    pub(super) fn put_into(&self, request: &mut RunRequest) {
        put(&mut request.cpus, self.cpus.map(Some));
        put(&mut request.memory_bytes, self.memory.map(Some));
        put(&mut request.pids_limit, self.pids_limit.map(Some));
    }
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

/// Replaces a value by one that was given.
pub(super) fn put<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}

/// The same for a list, where none was given if it is empty.
pub(super) fn put_all<T>(place: &mut Vec<T>, given: Vec<T>) {
    if !given.is_empty() {
        *place = given;
    }
}
