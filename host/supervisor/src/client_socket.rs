//! The Unix socket on which a proxy serves its user's own clients, beside its port.
//!
//! It needs no secret: only the user can open its folder and its file, the kernel tells the user at the other end, and a
//! confined workload can neither make a Unix socket nor see the folder. It lies in the state directory, so that it does not
//! vanish at logout, and has the same path over restarts.
use crate::client::socket_file::SocketFile;
use std::{io, path::Path};
use tokio::net::UnixListener;
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{RunConfig, WorkloadName};
use wharf_records::StateDir;

/// The longest path that fits into an address: `sun_path` of unix(7), with the zero at its end.
const MAX_PATH_BYTES: usize = 107;

/// The socket's file; dropping this removes it.
pub(crate) struct ClientSocket(SocketFile);

impl ClientSocket {
    /// Listens, if the workload is to have such a socket. The caller holds its life lock.
    ///
    /// # Errors
    /// It is to have one, and the socket cannot be made.
    pub(crate) fn bind(state: &StateDir, run: &RunConfig) -> Result<Option<(Self, UnixListener)>> {
        if !run.unix_socket {
            return Ok(None);
        }
        let bound = || -> io::Result<(Self, UnixListener)> {
            let folder = state.make_sockets().map_err(io::Error::other)?;
            let place = SocketFile::of(&folder, &run.name)?;
            let listener = place.bind(|| Ok(()))?;
            Ok((Self(place), listener))
        };
        bound().map(Some).map_err(|error| {
            let path = state.client_socket(&run.name);
            let doing = format!("the proxy of '{}' cannot listen on '{}'", run.name, path.display());
            Error::caused(ErrorKind::Failed, doing, &error)
        })
    }
}

impl Drop for ClientSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0.path());
    }
}

/// Checks that clients could connect to the socket of a workload of this name. Called before the workload is created.
///
/// # Errors
/// Of kind [`ErrorKind::Usage`]: the path is longer than an address can be.
pub fn check_client_socket(state: &StateDir, name: &WorkloadName) -> Result<()> {
    let path = state.client_socket(name);
    let length = length(&path);
    if length <= MAX_PATH_BYTES {
        return Ok(());
    }
    let message = format!(
        "the Unix socket would be '{}': {length} bytes, and an address has at most {MAX_PATH_BYTES}",
        path.display()
    );
    Err(Error::new(ErrorKind::Usage, message)
        .hint("give the workload a shorter name, or keep the records in a state folder with a shorter path"))
}

fn length(path: &Path) -> usize {
    path.as_os_str().len()
}
