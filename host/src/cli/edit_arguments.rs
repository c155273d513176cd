//! The arguments of `wharf edit`: those of `wharf run` that can be changed.
use super::console::Format;
use super::shared_arguments::{
    ContainerArguments, GivenArguments, LimitArguments, RestartOption, VariableArguments, WireArguments,
};
use super::stop_timeout::{StopTimeout, seconds};
use clap::{Args, ValueEnum};
use std::time::Duration;
use wharf_model::WorkloadName;

const EXAMPLES: &str = "Examples:
  wharf edit time -e LEVEL=debug
  wharf edit time --permission-profile none --allow-weaker
  wharf edit time --server ghcr.io/example/time:2 --pull always
  wharf edit files --clear volumes --volume /srv:ro -- --root /srv

JSON: an object of name, uid, runtime_name, result (restarted, recorded, unchanged), url, port. Keys are absent when empty.";

/// Change what a workload is; if it does not get ready then, it is as it was before
///
/// One that runs is stopped and started. What is not named stays. A variable or a label replaces the one of its name; of everything else, what is given replaces
/// what there was. It is checked, and an image is fetched, while the workload still runs. Its name, its runtime, its URL and
/// whom it serves stay; `wharf url` changes the last.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Edit {
    /// The workload's name
    pub(super) name: WorkloadName,
    /// What it runs, as in: wharf run SERVER
    #[arg(long)]
    pub(super) server: Option<String>,
    /// Arguments for it
    #[arg(last = true)]
    pub(super) args: Vec<String>,
    #[command(flatten)]
    pub(super) wire: WireArguments,
    /// Whether you are served on a Unix socket too
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    pub(super) unix_socket: Option<bool>,
    #[command(flatten)]
    pub(super) variables: VariableArguments,
    /// A variable that it gets no more
    #[arg(long, value_name = "KEY")]
    pub(super) unset: Vec<String>,
    #[command(flatten)]
    pub(super) given: GivenArguments,
    #[command(flatten)]
    pub(super) container: ContainerArguments,
    /// Whether the server is the first process of its container, without an init
    #[arg(long, value_name = "true|false", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) no_init: Option<bool>,
    /// Seconds that it may take to end by itself whenever it is stopped, before it is killed
    #[arg(long = "stop-timeout", value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(super) kept_stop_timeout: Option<Duration>,
    #[command(flatten)]
    pub(super) limits: LimitArguments,
    /// Whether it runs even if not all of this can be enforced here
    #[arg(long, value_name = "true|false", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) allow_weaker: Option<bool>,
    /// When it is started again
    #[arg(long, value_enum, hide_possible_values = true, value_name = "no|on-failure|always|unless-stopped")]
    pub(super) restart: Option<RestartOption>,
    /// What is emptied before the rest is added; can be given several times
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(super) clear: Vec<Clear>,
    #[command(flatten)]
    pub(super) stop_timeout: StopTimeout,
    /// Say nothing about progress
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// `--clear`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Clear {
    Args,
    Env,
    Secrets,
    Volumes,
    Labels,
    Origins,
    Hosts,
    User,
    Entrypoint,
    Network,
    AddHosts,
    Tmpfs,
    ShmSize,
    CapAdd,
    Ulimits,
    Platform,
    StopTimeout,
    Pull,
    PermissionProfile,
    Cpus,
    Memory,
    PidsLimit,
    TargetPort,
    TargetPath,
    Workdir,
}
