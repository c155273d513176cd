//! [`NetworkVerdict`]: the outcome of [`crate::Probe::probe_network`].
use serde::{Deserialize, Serialize};

/// Whether an instance enforces the rules of networks, as somebody has tried out. The host keeps it, and gives it back with
/// each specification for that instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NetworkVerdict {
    /// The instance in which it was tried.
    pub instance: String,
    /// Whether a rule that forbids a connection has stopped it.
    pub enforced: bool,
    /// When that was seen, in milliseconds after the epoch.
    pub at_ms: u64,
    /// The trial and its outcome, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub how: String,
}
