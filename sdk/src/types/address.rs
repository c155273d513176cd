//! [`Address`]: how the host reaches the port of a workload.
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// How the host reaches the port of a workload. The set is open, since older hosts meet newer plugins.
///
/// A server on a Unix socket is reached through [`crate::Dial`], which passes a descriptor to the host. If the host got a
/// path instead, it would have to follow that path through folders that the workload may write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Address {
    /// Over TCP, from this machine.
    Tcp {
        /// An address of the network and a port, as `ip:port`.
        address: SocketAddr,
    },
    /// Through [`crate::Dial::dial`] alone.
    Dial,
    /// An address of another kind; kinds that only a newer SDK knows are read as this.
    #[serde(other)]
    Unknown,
}

impl Address {
    /// A port of this machine's loopback interface.
    pub fn loopback(port: u16) -> Self {
        Self::Tcp { address: (std::net::Ipv4Addr::LOCALHOST, port).into() }
    }

    /// The address of the network, where there is one.
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { address } => Some(*address),
            Self::Dial | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_newer_kind_is_read_as_unknown() {
        let read = |text: &str| serde_json::from_str::<Address>(text).ok();
        assert_eq!(read(r#"{"kind":"carrier_pigeon","loft":7}"#), Some(Address::Unknown));
        assert_eq!(read(r#"{"kind":"dial"}"#), Some(Address::Dial));
        assert_eq!(read(r#"{"kind":"tcp","address":"127.0.0.1:80"}"#), Some(Address::loopback(80)));
        assert_eq!(read(r#"{"kind":"tcp","address":"somewhere"}"#), None);
    }
}
