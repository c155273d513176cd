//! [`ProxyAuth`]: whom the proxy of a workload serves.

use serde::{Deserialize, Serialize};

/// Whom the proxy of a workload serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyAuth {
    /// Whoever can connect.
    None,
    /// Who knows the URL: its path holds the secret.
    Path,
    /// Who sends the secret as a bearer token.
    Bearer,
}

impl ProxyAuth {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Path => "path",
            Self::Bearer => "bearer",
        }
    }

    /// Whether there is a secret.
    #[must_use]
    pub const fn has_secret(self) -> bool {
        !matches!(self, Self::None)
    }
}
