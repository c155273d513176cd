//! Finds the way to a workload's port: an address on this machine, or connections that the runtime carries. Called at each
//! start, when the runtime has given the address. Must not know the protocol on the connections.
use std::{io, sync::Arc};
use wharf_model::{Error, ErrorKind, Result, chain};
use wharf_proxy::{Dialer, Dialing, Duplex, Upstream};
use wharf_runtimes::RuntimeClient;
use wharf_sdk::{Address, Handle, Observation};

/// Connections to a port of one workload, made by its runtime.
struct Dialed {
    client: Arc<RuntimeClient>,
    handle: Handle,
    port: u16,
}

impl Dialer for Dialed {
    fn dial(&self) -> Dialing {
        let (client, handle, port) = (Arc::clone(&self.client), self.handle.clone(), self.port);
        Box::pin(async move {
            let stream = client.dial(&handle, port).await.map_err(|error| io::Error::other(chain(&error)))?;
            let (reader, writer) = stream.into_sides()?;
            Ok(Box::new(tokio::io::join(reader, writer)) as Box<dyn Duplex>)
        })
    }
}

/// The way to the workload's port, by the address that its runtime gave.
///
/// # Errors
/// Of kind [`ErrorKind::Runtime`], if the runtime gave none, or one of a kind that this version does not know.
pub(crate) fn upstream(
    client: &Arc<RuntimeClient>,
    handle: &Handle,
    seen: &Observation,
    port: u16,
) -> Result<Upstream> {
    let unknown = |what: &str| {
        let message = format!("the runtime '{}' {what}", client.name());
        Err(Error::new(ErrorKind::Runtime, message))
    };
    match seen.address {
        Some(Address::Tcp { address }) => Ok(Upstream::tcp(address)),
        Some(Address::Dial) => {
            let dialed = Dialed { client: Arc::clone(client), handle: handle.clone(), port };
            Ok(Upstream::dialed(port, Arc::new(dialed)))
        }
        Some(Address::Unknown) => unknown("names a way to the workload's port that this wharf does not know"),
        None => unknown("does not say where the workload's port can be reached"),
    }
}
