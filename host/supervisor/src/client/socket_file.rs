//! The file of a Unix socket in a folder of the state directory: the control socket's, and that of a proxy's own clients.
//!
//! The folder's path may be longer than a socket's address can be, so it is reached through a descriptor of the folder.
use std::{
    fs::{File, Permissions},
    io,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::net::UnixListener;
use wharf_model::WorkloadName;

/// Where the socket of one workload is, by a path that is short whatever its folder is called.
pub(crate) struct SocketFile {
    folder: File,
    name: String,
}

impl SocketFile {
    /// In a folder that is there.
    pub(crate) fn of(folder: &Path, name: &WorkloadName) -> io::Result<Self> {
        Ok(Self { folder: File::open(folder)?, name: format!("{name}.sock") })
    }

    /// Its path, as long as this lives.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{}", self.folder.as_raw_fd(), self.name))
    }

    /// Listens, in the place of a socket that is there already: the caller holds the workload's life lock, so that nobody
    /// listens on that one. It gets its name once it is the user's alone and can be spoken to; `bound` is called before.
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
            // Its life lock is this process' own, and so are both names.
            let _ = std::fs::remove_file(unnamed);
        }
        named.map(|()| listener)
    }
}

/// Removes what a supervisor left in such a folder that was killed. Only for who knows that there is none.
pub(crate) fn remove_left(folder: &Path, name: &WorkloadName) -> io::Result<()> {
    for ending in ["sock.new", "sock"] {
        match std::fs::remove_file(folder.join(format!("{name}.{ending}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
