//! What the launcher is told of a workload's confinement: mechanism, no policy. Which files and ports these are is the
//! plugin's to know.
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The field of [`Report::Failed`](super::Report::Failed) when it was tried to give a workload namespaces of its own and that failed: what was
/// done cannot be undone in that launcher, so another one is to be told [`Sandbox::shared`].
pub const NAMESPACES: &str = "namespaces";

/// The field of a refusal where something inside of what may be written is to be read only, and that needs mounts of
/// the workload's own; also what [`Sandbox::asked`] calls it.
pub const READ_INSIDE_WRITE: &str = "read inside write";

/// A file or a folder with what lies below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// What it is called: the links on that way are there in the workload's view too. Nothing is opened by it.
    pub name: PathBuf,
    /// What that means: absolute, without a link, `.` or `..`. Opened as it stands here, once, and without following a
    /// link: one on the way was put there since, and the workload is refused. What does not exist is passed over.
    pub path: PathBuf,
    /// It is one of the system's own, which every workload has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
    /// It lies inside of what may be written, and may only be read all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
}

/// What a workload may touch; everything else is out of its reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    /// Files and folders that it may read and execute.
    pub read: Vec<Place>,
    /// Files and folders that it may write besides. A device among them can only be read and written.
    pub write: Vec<Place>,
    /// Where it may connect to and what it may listen on.
    pub network: Network,
    /// Folders of which it is to see nothing but what is in these lists, where it has namespaces of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<PathBuf>,
    /// Why it gets no namespaces of its own; none: it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// What was asked for by name, and so is refused where it cannot be enforced: `files`, `network`, `namespaces`, [`READ_INSIDE_WRITE`]. The
    /// rest is the runtime's rule: what of it cannot be enforced is told.
    pub asked: Vec<String>,
    /// What was asked for is told too, instead of being refused.
    pub allow_weaker: bool,
}

/// The network of a [`Sandbox`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Network {
    /// No network but these ports, over TCP. With none to connect to it is one of the workload's own, where that can be
    /// made: with nobody in it, and with the ports that it listens on as the only way in.
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
    /// At most so many processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// At most so much memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// At most so many processes and threads, as asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// The same where nothing was asked for: only told if it cannot be enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_pids: Option<u64>,
    /// What was asked for and cannot be enforced is told instead of being refused.
    #[serde(default)]
    pub allow_weaker: bool,
}
