//! What a runtime declares that it can do.
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Something that a runtime can do, by name. Asked, never tried: the host refuses a specification that needs what
/// is not declared, before any side effect. The set is open, since older hosts meet newer plugins.
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
    /// Gives the stdin and stdout of a running workload.
    pub const ATTACH: Self = Self::named("attach");
    /// Carries connections to the ports of workloads.
    pub const DIAL: Self = Self::named("dial");
    /// Tells what it can enforce here.
    pub const CONFINE: Self = Self::named("confine");
    /// Tells where the names of files in a specification lead, and holds a workload to it
    /// ([`super::WorkloadSpec::pinned`]).
    pub const PIN: Self = Self::named("pin");
    /// Finds what others made by its labels, and takes it over.
    pub const TAKEOVER: Self = Self::named("takeover");
    /// A workload with a port goes on when the process that deployed it ends, and is found again. Of a runtime without
    /// this the host ends such a workload together with its supervisor.
    pub const SURVIVES_SUPERVISOR: Self = Self::named("survives-supervisor");
    /// The engine restarts workloads by itself and cannot be told not to: the host then does not, and refuses a restart
    /// policy that forbids it. [`crate::Runtime::wait`] resolves when the engine has given up, or was told to stop.
    pub const RESTARTS_ITSELF: Self = Self::named("restarts-itself");
    /// The port of a workload is its own, whatever else listens on that number; it listens on all of its addresses,
    /// and the runtime tells where it can be reached from the host.
    pub const PORT_MAPPING: Self = Self::named("port-mapping");
    /// Runs workloads in a directory of the host (`working_dir`).
    pub const WORKING_DIR: Self = Self::named("working-dir");
    /// Mounts directories of the host (`mounts`).
    pub const MOUNTS: Self = Self::named("mounts");
    /// Limits processor time (`cpus`).
    pub const CPUS: Self = Self::named("cpus");
    /// Limits memory (`memory_bytes`).
    pub const MEMORY: Self = Self::named("memory");
    /// Limits the number of processes (`pids_limit`).
    pub const PIDS: Self = Self::named("pids");
    /// Enforces permission profiles (`permission_profile`).
    pub const PERMISSION_PROFILE: Self = Self::named("permission-profile");

    /// Runs a workload as a user of its own world (`user`).
    pub const USER: Self = Self::named("user");
    /// Fetches images, when it is told to (`pull`).
    pub const PULL: Self = Self::named("pull");
    /// Marks what it makes with the workload's group (`group`), which is left out where this is not claimed.
    pub const GROUP: Self = Self::named("group");
    /// A stopped workload is deployed again as what it was, with all that it wrote, as long as its specification is the
    /// same: the host does not remove it first.
    pub const RESTART_IN_PLACE: Self = Self::named("restart-in-place");

    /// All that this SDK has a name for.
    pub const ALL: &[Self] = &[
        Self::STDIO,
        Self::HTTP,
        Self::LOGS,
        Self::ATTACH,
        Self::DIAL,
        Self::CONFINE,
        Self::PIN,
        Self::TAKEOVER,
        Self::SURVIVES_SUPERVISOR,
        Self::RESTARTS_ITSELF,
        Self::PORT_MAPPING,
        Self::WORKING_DIR,
        Self::MOUNTS,
        Self::CPUS,
        Self::MEMORY,
        Self::PIDS,
        Self::PERMISSION_PROFILE,
        Self::USER,
        Self::PULL,
        Self::GROUP,
        Self::RESTART_IN_PLACE,
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
