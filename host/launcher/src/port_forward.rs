//! The port forward of a workload that has a network of its own: it listens on a port of this machine, and connects to the
//! same port in the workload's network.
//!
//! Init (`init.rs`) opens the listeners while it is still in this machine's network, and serves them from the workload's:
//! it ends with the workload, and the listeners with it. There is no way in the other direction.
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    io,
    net::{Ipv4Addr, TcpListener as Listener},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// The number of connections at a time for each port: as many as the proxy accepts from its clients. Each takes two
/// descriptors here.
const MAX_CONNECTIONS: usize = 2048;
/// The pause after a connection could not be accepted. The usual reason is that no descriptor is free, of this process or
/// of the machine, and no event tells that one is free again. A connection that waits keeps the listener readable, so
/// without a pause it would be tried in a busy loop; with it each listener tries ten times a second, as long as it lasts.
const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A port, and the listener on it.
pub(crate) type PortForward = (u16, Listener);

/// Listens on these ports in the network that this process is in now.
pub(crate) fn open(ports: &[u16]) -> Result<Vec<PortForward>, (u16, io::Error)> {
    let opened = ports.iter().map(|&port| {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        listener.map(|listener| (port, listener)).map_err(|error| (port, error))
    });
    opened.collect()
}

/// Serves the listeners on a thread of its own. Connections are forwarded to the same port of the network that this process
/// is in by then.
pub(crate) fn serve(forwards: Vec<PortForward>) -> io::Result<()> {
    if forwards.is_empty() {
        return Ok(());
    }
    // Raises the limit of descriptors as far as the user may: the usual limit is too low for all connections.
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = std::thread::Builder::new().name("port-forward".to_owned()).spawn(move || {
        runtime.block_on(async {
            let each = forwards.into_iter().map(|(port, listener)| tokio::spawn(forward(port, listener)));
            for task in each.collect::<Vec<_>>() {
                let _ = task.await;
            }
        });
    });
    served.map(drop)
}

async fn forward(port: u16, listener: Listener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((mut outside, _)) = listener.accept().await else {
            // The client has gone away again, or no descriptor is free. Neither is a reason to stop.
            tokio::time::sleep(ACCEPT_RETRY_PAUSE).await;
            continue;
        };
        // A connection too many is closed at once: the others may last for days, so it should not wait for a place.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        tokio::spawn(async move {
            let _place = place;
            // If the server does not listen yet, the connection ends.
            let Ok(mut inside) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
            let _ = (outside.set_nodelay(true), inside.set_nodelay(true));
            let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}
