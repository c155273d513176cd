//! [`Identity`]: the introduction of an engine.
use serde::{Deserialize, Serialize};

/// The introduction of an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its instance: an id that no other engine has.
    pub(crate) instance: String,
    /// The name of the machine that a Podman runs on.
    pub(crate) hostname: Option<String>,
}
