//! The Unix socket on which a proxy serves its user's own clients, beside its port.
//!
//! It needs no secret: its folder and its file are the user's alone, the kernel says who is at the other end, and no
//! confined workload can make a Unix socket, or see the folder. It lies in the state directory, so that it does not vanish
//! at logout, and has the same path over restarts.
use crate::client::socket_file::SocketFile;
use std::{io, path::Path};
use tokio::net::UnixListener;
use wharf_model::{Advice, Error, ErrorKind, Result, Setting};
use wharf_model::{RunConfig, WorkloadName};
use wharf_records::StateDir;

/// The longest path that is an address: `sun_path` of unix(7), with the zero at its end.
const MAX_PATH_BYTES: usize = 107;

/// The socket's file, which goes with this.
pub(crate) struct ClientSocket(SocketFile);

impl ClientSocket {
    /// Listens, if the workload is to have such a socket. The caller holds its life lock.
    ///
    /// # Errors
    /// Where it is to have one, and cannot.
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

/// Whether clients could reach the socket of a workload of this name. Asked before it is created.
///
/// # Errors
/// Of kind [`ErrorKind::Usage`]: its path is longer than an address can be.
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
        .advise(Advice::Choose { setting: Setting::Name, value: None })
        .hint("a shorter one, or keep the records in a folder with a shorter path"))
}

fn length(path: &Path) -> usize {
    path.as_os_str().len()
}
