//! Arguments that `wharf run` and `wharf edit` share, and what each makes of a request: what was given takes the place of what
//! there was.
use super::run_values::{cpus, size, ulimit};
use clap::Args;
use std::path::PathBuf;
use wharf::commands::RunRequest;
use wharf_sdk::Ulimit;

/// Variables for the server.
#[derive(Args)]
pub(super) struct VariableArguments {
    /// A variable for the server; KEY alone takes its value from here
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub(super) env: Vec<String>,
    /// A file with variables, one a line
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Vec<PathBuf>,
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
    /// A name of a machine in it; host-gateway stands for the address of this machine
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
