//! Ports of workloads: listeners that answer, and some that only accept.
use rustix::net::{Shutdown, shutdown};
use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// An open port; dropping the last clone closes it.
#[derive(Clone)]
pub(crate) struct Port(#[expect(dead_code, reason = "its end is what matters")] Arc<Open>);

struct Open(TcpListener);

impl Drop for Open {
    fn drop(&mut self) {
        // From now on connections are refused, and the thread that waits for one ends.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

impl Port {
    /// Writes back what comes in; or, as an engine's proxy with nobody behind it, accepts and hangs up.
    pub(crate) fn open(port: u16, answers: bool) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let open = Arc::new(Open(listener.try_clone()?));
        thread::spawn(move || {
            // Its end is an error of each further attempt.
            for connection in listener.incoming().map_while(Result::ok) {
                if answers {
                    thread::spawn(move || echo(&connection));
                }
            }
        });
        Ok(Self(open))
    }
}

fn echo(connection: &TcpStream) -> io::Result<u64> {
    io::copy(&mut &*connection, &mut &*connection)
}
