//! [`Capability`]: the abilities that a runtime declares in its library's manifest. The host reads them and refuses a
//! workload that needs others.
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The name of an ability of a runtime. The host goes by what is declared and does not try: it refuses a specification that
/// needs more than what is declared, before any side effect. The set is open, since older hosts meet newer plugins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Capability(Cow<'static, str>);

impl Capability {
    /// Workloads that speak over stdin and stdout, attached as a byte stream.
    pub const STDIO: Self = Self::named("stdio");
    /// Workloads that serve HTTP on a port, reached as their [`super::Address`] says.
    pub const HTTP: Self = Self::named("http");
    /// Keeps or finds the logs of workloads.
    pub const LOGS: Self = Self::named("logs");
    /// Puts the time before each line of a log ([`super::LogOptions::timestamps`]).
    pub const LOG_TIMESTAMPS: Self = Self::named("log-timestamps");
    /// Gives the stdin and stdout of a running workload.
    pub const ATTACH: Self = Self::named("attach");
    /// Carries connections to the ports of workloads.
    pub const DIAL: Self = Self::named("dial");
    /// A connection of [`crate::Dial`] carries the end of each direction by itself. Of a runtime without this the host keeps
    /// the end of its own direction back: such a connection ends with the server's side, or by being dropped.
    pub const DIAL_HALF_CLOSE: Self = Self::named("dial-half-close");
    /// Tells which confinement it can enforce here.
    pub const CONFINE: Self = Self::named("confine");
    /// Resolves the names of files in a specification, and refuses a workload whose names lead elsewhere later
    /// ([`super::WorkloadSpec::pinned`]).
    pub const PIN: Self = Self::named("pin");
    /// Shows resources that others made, by their labels.
    pub const DISCOVER: Self = Self::named("discover");
    /// Tries out whether the rules of networks are enforced, where no interface of its engine tells. The host keeps the
    /// verdict, and gives it with each specification ([`super::WorkloadSpec::network_verdict`]).
    pub const PROBE: Self = Self::named("probe");
    /// A workload with a port goes on when the process that deployed it ends, and another process finds it again. Without
    /// this capability the host ends such a workload together with its supervisor.
    pub const SURVIVES_SUPERVISOR: Self = Self::named("survives-supervisor");
    /// The engine restarts workloads by itself and cannot be told not to: the host then does not, and refuses a restart
    /// policy that forbids it. [`crate::Runtime::wait`] says of each end whether the engine goes on
    /// ([`super::Exit::restarts`]): then the host follows, and [`crate::Runtime::start`] waits until the engine has started the
    /// workload again. If the engine has given up, or was told to stop the workload, the end is recorded.
    pub const RESTARTS_ITSELF: Self = Self::named("restarts-itself");
    /// Each workload has its own port numbers, whatever else listens on this machine; it listens on all of its own
    /// addresses, and the runtime tells where the host reaches it.
    pub const PORT_MAPPING: Self = Self::named("port-mapping");
    /// Runs workloads in a directory (`working_dir`): of the host, or of the image where one is run.
    pub const WORKING_DIR: Self = Self::named("working-dir");
    /// Mounts directories of the host (`mounts`).
    pub const MOUNTS: Self = Self::named("mounts");
    /// Of a mounted folder that holds some of the host's own folders ([`crate::Context::private_dirs`]) it opens the rest,
    /// and none of these, whatever becomes of them. Of a runtime without this capability the host refuses such a mount.
    pub const MOUNT_PARTS: Self = Self::named("mount-parts");
    /// Limits processor time (`cpus`).
    pub const CPUS: Self = Self::named("cpus");
    /// Limits memory (`memory_bytes`).
    pub const MEMORY: Self = Self::named("memory");
    /// Limits the number of processes (`pids_limit`).
    pub const PIDS: Self = Self::named("pids");
    /// Enforces permission profiles (`permission_profile`).
    pub const PERMISSION_PROFILE: Self = Self::named("permission-profile");

    /// Runs a workload as a user that the user names (`user`).
    pub const USER: Self = Self::named("user");
    /// Fetches images, as `pull` says.
    pub const PULL: Self = Self::named("pull");
    /// Only `start` can fetch what a workload is made of, such as an image on the node that was chosen for it: it has the
    /// deadline of `deploy`.
    pub const FETCHES_AT_START: Self = Self::named("fetches-at-start");
    /// Marks what it makes with the workload's group (`group`). A runtime without this capability gets no group.
    pub const GROUP: Self = Self::named("group");
    /// Starts a stopped workload again with everything that it wrote, as long as its specification is the same: the host
    /// does not remove it first.
    pub const RESTART_IN_PLACE: Self = Self::named("restart-in-place");
    /// Marks what it makes with the uid of the workload that it belongs to (`parent`), and shows it in listings.
    pub const PARENT: Self = Self::named("parent");

    /// Sets the kernel's limits for each process (`container.ulimits`).
    pub const ULIMITS: Self = Self::named("ulimits");
    /// Lets a workload keep capabilities of the kernel (`container.cap_add`).
    pub const CAP_ADD: Self = Self::named("cap-add");
    /// Puts a workload into a network of the engine by its name (`container.network`).
    pub const NETWORK: Self = Self::named("network");
    /// Adds names of machines (`container.add_hosts`).
    pub const ADD_HOSTS: Self = Self::named("add-hosts");
    /// Runs another program of the image than its own (`container.entrypoint`).
    pub const ENTRYPOINT: Self = Self::named("entrypoint");
    /// Can do without an init as first process (`container.no_init`).
    pub const NO_INIT: Self = Self::named("no-init");
    /// Runs an image of the platform that is asked for (`container.platform`).
    pub const PLATFORM: Self = Self::named("platform");
    /// Sets the size of shared memory (`container.shm_size_bytes`).
    pub const SHM_SIZE: Self = Self::named("shm-size");
    /// Makes folders in memory (`container.tmpfs`).
    pub const TMPFS: Self = Self::named("tmpfs");
    /// Gives mounted folders the label by which SELinux lets a container use them (`:z` and `:Z` of a mount).
    pub const RELABEL: Self = Self::named("relabel");

    /// Leaves what an image sets itself, where the host only supposes something ([`super::WorkloadSpec::supposed`]). A runtime
    /// without this capability is not told what is supposed.
    pub const IMAGE_SETTINGS: Self = Self::named("image-settings");

    /// All capabilities that this SDK has a name for.
    pub const ALL: &[Self] = &[
        Self::STDIO,
        Self::HTTP,
        Self::LOGS,
        Self::LOG_TIMESTAMPS,
        Self::ATTACH,
        Self::DIAL,
        Self::DIAL_HALF_CLOSE,
        Self::CONFINE,
        Self::PIN,
        Self::DISCOVER,
        Self::PROBE,
        Self::SURVIVES_SUPERVISOR,
        Self::RESTARTS_ITSELF,
        Self::PORT_MAPPING,
        Self::WORKING_DIR,
        Self::MOUNTS,
        Self::MOUNT_PARTS,
        Self::CPUS,
        Self::MEMORY,
        Self::PIDS,
        Self::PERMISSION_PROFILE,
        Self::USER,
        Self::PULL,
        Self::FETCHES_AT_START,
        Self::GROUP,
        Self::RESTART_IN_PLACE,
        Self::PARENT,
        Self::ULIMITS,
        Self::CAP_ADD,
        Self::NETWORK,
        Self::ADD_HOSTS,
        Self::ENTRYPOINT,
        Self::NO_INIT,
        Self::PLATFORM,
        Self::SHM_SIZE,
        Self::TMPFS,
        Self::RELABEL,
        Self::IMAGE_SETTINGS,
    ];

    /// The capability with this name.
    pub const fn named(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Its name.
    pub const fn as_str(&self) -> &str {
        match &self.0 {
            Cow::Borrowed(name) => name,
            Cow::Owned(name) => name.as_str(),
        }
    }
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
