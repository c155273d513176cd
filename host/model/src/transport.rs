//! [`Transport`] and [`ProxyMode`]: how a server is spoken to, and how its clients speak to the proxy.

use serde::{Deserialize, Serialize};

/// The server's wire: how the proxy passes messages to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Lines on its stdin and stdout.
    #[default]
    Stdio,
    /// HTTP, one endpoint.
    StreamableHttp,
    /// HTTP, the transport of the 2024-11-05 revision.
    Sse,
    /// A user interface that ToolHive runs. wharf reads such a RunConfig and does not start it.
    Inspector,
}

impl Transport {
    /// The name as it is written in records and options.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::StreamableHttp => "streamable-http",
            Self::Sse => "sse",
            Self::Inspector => "inspector",
        }
    }
}

/// The protocol that the proxy of a stdio server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ProxyMode {
    /// Streamable HTTP.
    #[default]
    StreamableHttp,
    /// HTTP with SSE, the transport of the 2024-11-05 revision.
    Sse,
    /// ToolHive writes this beside the transport of the same name.
    Inspector,
}
