//! The way to a workload with a port that has a network of its own: a port of this machine's, and behind it the same port
//! there.
//!
//! Its first process (`init.rs`) opens the doors before it leaves this machine's network, and tends them from the
//! other one: it ends with the workload, and the doors with it. Nothing leads the other way.
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

/// How many connections there may be at once: as many as the proxy takes from its clients. Each has two descriptors here.
const MAX_CONNECTIONS: usize = 2048;
/// How long nobody is let in after somebody could not be.
const PAUSE: Duration = Duration::from_millis(100);

/// A port, and what listens on it.
pub(crate) type PortForward = (u16, Listener);

/// Listens on these ports of the network that this process is in now.
pub(crate) fn open(ports: &[u16]) -> Result<Vec<PortForward>, (u16, io::Error)> {
    let opened = ports.iter().map(|&port| {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        listener.map(|listener| (port, listener)).map_err(|error| (port, error))
    });
    opened.collect()
}

/// Tends them on a thread of its own. Whoever is connected is led to the same port of the network that this process is in
/// then.
pub(crate) fn tend(doors: Vec<PortForward>) -> io::Result<()> {
    if doors.is_empty() {
        return Ok(());
    }
    // As many descriptors as this user may have: the usual limit is less than all connections need.
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tended = std::thread::Builder::new().name("doors".to_owned()).spawn(move || {
        runtime.block_on(async {
            let each = doors.into_iter().map(|(port, listener)| tokio::spawn(lead(port, listener)));
            for door in each.collect::<Vec<_>>() {
                let _ = door.await;
            }
        });
    });
    tended.map(drop)
}

async fn lead(port: u16, listener: Listener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((mut outside, _)) = listener.accept().await else {
            // It has gone away again, or there are too many files: no reason to stop, nor to try at once.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Who comes too late is sent away at once, and does not wait for what may last for days.
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        tokio::spawn(async move {
            let _place = place;
            // A server that does not listen yet is told by the end of the connection.
            let Ok(mut inside) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
            let _ = (outside.set_nodelay(true), inside.set_nodelay(true));
            let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}
