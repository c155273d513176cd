//! [`ProxyAuth`]: who may use the proxy of a workload. The RunConfig records it, the supervisor enforces it.

use serde::{Deserialize, Serialize};

/// The clients that may use the proxy of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ProxyAuth {
    /// Every program that can connect.
    None,
    /// Clients that know the URL: its path holds the secret.
    Path,
    /// Clients that send the secret as a bearer token.
    Bearer,
}

impl ProxyAuth {
    /// The name as it is written in records and options.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Path => "path",
            Self::Bearer => "bearer",
        }
    }

    /// Whether clients need a secret.
    #[must_use]
    pub const fn has_secret(self) -> bool {
        !matches!(self, Self::None)
    }
}
