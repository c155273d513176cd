//! What ToolHive keeps of its workloads, read and put into wharf's terms.
//!
//! Called by `import` in the command layer. Reading takes none of ToolHive's locks and changes nothing of it: its files
//! are replaced as a whole, so whatever is read is one version of one. The room knows ToolHive's formats; it must not
//! know runtimes, wharf's records or whose a container is. What it does not understand it keeps and names.
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
/// What all of its containers carry.
pub const MARK: (&str, &str) = ("toolhive", "true");
/// The label with the name of the RunConfig that a container belongs to.
pub const BASE_NAME: &str = "toolhive-basename";
/// On containers that only serve another one (its proxies and its name server).
const HELPER: (&str, &str) = ("toolhive-auxiliary-workload", "true");
/// On containers that have no RunConfig (its inspector).
const WITHOUT_CONFIG: (&str, &str) = ("toolhive-auxiliary", "true");

/// Whether a container with these labels is a workload, and not only there for one.
pub fn is_workload(labels: &std::collections::BTreeMap<String, String>) -> bool {
    [HELPER, WITHOUT_CONFIG].iter().all(|(name, value)| labels.get(*name).is_none_or(|found| found != value))
}
