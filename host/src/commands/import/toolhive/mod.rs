//! Reads ToolHive's records of its workloads, and translates them into wharf's.
//!
//! Called by `import` in the command layer. Reading takes none of ToolHive's locks and changes none of its files: they are
//! replaced as a whole, so each read returns one version. This module knows ToolHive's formats; it must not know runtimes,
//! wharf's records or the owner of a container. Fields that it does not understand are kept, and named in the report.
mod folder;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod name;
mod profile;
mod translate;

pub use folder::{Entry, File, Folders, Group, Status, read, read_groups, read_status};
pub use name::{candidates, is_name};
pub use translate::{Refusal, Translation, translate};

/// The product's name in records and reports.
pub const PRODUCT: &str = "toolhive";
/// The label of all its containers.
pub const MARK: (&str, &str) = ("toolhive", "true");
/// The label with the name of the RunConfig that a container belongs to.
pub const BASE_NAME: &str = "toolhive-basename";
/// The label of containers that only serve another one (its proxies and its name server).
const HELPER: (&str, &str) = ("toolhive-auxiliary-workload", "true");
/// The label of containers without a RunConfig (its inspector).
const WITHOUT_CONFIG: (&str, &str) = ("toolhive-auxiliary", "true");

/// Whether a container with these labels is a workload, and not a helper of one.
pub fn is_workload(labels: &std::collections::BTreeMap<String, String>) -> bool {
    [HELPER, WITHOUT_CONFIG].iter().all(|(name, value)| labels.get(*name).is_none_or(|found| found != value))
}
