//! The part of a launcher's job that is about confinement. It is mechanism, not policy: the plugin decides which files and
//! ports these are.
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The field of [`Report::Failed`](super::Report::Failed) when the launcher tried to give a workload its own namespaces and
/// failed half-way. A process cannot undo that, so the plugin is to start another launcher, with [`Sandbox::shared`].
pub const NAMESPACES: &str = "namespaces";

/// The field of a refusal where a part of a writable place was to be read-only, which needs mounts of the workload's own;
/// [`Sandbox::asked`] uses the same name.
pub const READ_INSIDE_WRITE: &str = "read inside write";

/// A file, or a folder with everything below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The name by which it was asked for. The links on that name are made in the workload's view too. Nothing is opened by
    /// it.
    pub name: PathBuf,
    /// The path that the name led to: absolute, without a link, `.` or `..`. The launcher opens it once and follows no
    /// link: a link on it was put there since, and then the workload is refused. A path that does not exist is passed over.
    pub path: PathBuf,
    /// It belongs to the system, and every workload has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
    /// It lies inside of a writable place, but may only be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// The place in the workload's view where it is shown instead of at `path`, without a link. It needs mounts of the
    /// workload's own, and exists, or lies in a folder that is hidden or the workload's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<PathBuf>,
}

/// The files and the network that a workload may use; everything else is out of its reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    /// Files and folders that it may read and execute.
    pub read: Vec<Place>,
    /// Files and folders that it may also write. A device among them can only be read and written.
    pub write: Vec<Place>,
    /// The folders among the hidden ones whose entries it may list, as far as they are visible to it; it makes none there. They
    /// are not listed where nothing can be hidden.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listed: Vec<PathBuf>,
    /// The ports that it may connect to and listen on.
    pub network: Network,
    /// Folders whose contents are hidden from it, except for what is in these lists. Only where it has namespaces of its
    /// own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<PathBuf>,
    /// The reason why the workload gets no namespaces of its own. None: it gets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// The parts that the user asked for by name: `files`, `network`, `namespaces`, [`READ_INSIDE_WRITE`]. A workload is
    /// refused where one of them cannot be enforced. All other parts are the runtime's own rule; if one cannot be enforced,
    /// that is only reported.
    pub asked: Vec<String>,
    /// Even a part that the user asked for is only reported if it cannot be enforced.
    pub allow_weaker: bool,
}

/// The network of a [`Sandbox`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Network {
    /// TCP to and from these ports, and no other network. With no port to connect to, the workload gets a network of its
    /// own where one can be made: nobody else is in it, and the ports that it listens on are the only way in.
    Ports {
        /// It may listen on them.
        listen: Vec<u16>,
        /// It may connect to them.
        connect: Vec<u16>,
    },
    /// The network of this machine.
    #[default]
    Open,
}

/// How much a workload may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// At most this many processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// At most so much memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// At most this many processes and threads. The user asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// The same where the user asked for nothing: the runtime's usual limit, which is only reported if it cannot be
    /// enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_pids: Option<u64>,
    /// A limit that the user asked for and that cannot be enforced is reported instead of being refused.
    #[serde(default)]
    pub allow_weaker: bool,
}
