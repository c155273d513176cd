//! [`Identity`]: an engine by its own word.
use serde::{Deserialize, Serialize};

/// Who an engine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// What tells it from every other one.
    pub(crate) instance: String,
    /// The machine that a Podman runs on, by its own word.
    pub(crate) hostname: Option<String>,
}
