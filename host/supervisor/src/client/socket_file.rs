//! [`SocketFile`]: a Unix socket in a folder of the state directory: the control socket, and the socket of a proxy's own
//! clients.
//!
//! The path of the folder may be longer than a socket's address can be, so the socket is reached through a descriptor of
//! the folder.
use std::{
    fs::{File, Permissions},
    io,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::net::UnixListener;
use wharf_model::WorkloadName;

/// The socket of one workload, reached by a short path, however long its folder's path is.
pub(crate) struct SocketFile {
    folder: File,
    name: String,
}

impl SocketFile {
    /// A socket in an existing folder.
    pub(crate) fn of(folder: &Path, name: &WorkloadName) -> io::Result<Self> {
        Ok(Self { folder: File::open(folder)?, name: format!("{name}.sock") })
    }

    /// The path, valid as long as this value lives.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{}", self.folder.as_raw_fd(), self.name))
    }

    /// Listens in the place of an existing socket. The caller holds the workload's life lock, so nobody listens on that
    /// one. The new socket gets its name only when it has its rights and listens; `bound` is called before.
    pub(crate) fn bind(&self, bound: impl FnOnce() -> io::Result<()>) -> io::Result<UnixListener> {
        let unnamed = self.path().with_extension("sock.new");
        match std::fs::remove_file(&unnamed) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&unnamed)?;
        let named = bound()
            .and_then(|()| std::fs::set_permissions(&unnamed, Permissions::from_mode(0o600)))
            .and_then(|()| std::fs::rename(&unnamed, self.path()));
        if named.is_err() {
            // The caller holds the workload's life lock, so nobody else uses these two names.
            let _ = std::fs::remove_file(unnamed);
        }
        named.map(|()| listener)
    }
}

/// Removes the sockets of a supervisor that was killed. Only for a caller that knows that there is no supervisor.
pub(crate) fn remove_left(folder: &Path, name: &WorkloadName) -> io::Result<()> {
    for ending in ["sock.new", "sock"] {
        match std::fs::remove_file(folder.join(format!("{name}.{ending}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
