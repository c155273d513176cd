//! The Unix socket, and the lock of who serves one state directory.
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::StateDir;

/// The longest path that is an address: `sun_path` of unix(7), with the zero at its end.
const MAX_PATH_BYTES: usize = 107;

/// Where the socket is unless somebody says otherwise.
pub fn default_socket(state: &StateDir) -> PathBuf {
    state.api().join("wharf.sock")
}

/// The right to serve a state directory, held as long as this lives. Its file is never unlinked.
pub(crate) struct ServeLock {
    _file: File,
}

impl ServeLock {
    /// Takes it, or fails if another process has it.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        let failed = |error: &io::Error| {
            Error::caused(ErrorKind::Failed, format!("the lock {} cannot be taken", path.display()), error)
        };
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                let message = "another process serves these records already";
                Err(Error::new(ErrorKind::Conflict, message).hint(format!("its lock is {}", path.display())))
            }
            Err(TryLockError::Error(error)) => Err(failed(&error)),
        }
    }
}

/// The socket's file, removed with this.
pub(crate) struct SocketPlace {
    path: PathBuf,
}

impl SocketPlace {
    /// Listens, in the place of a socket that a process left that was killed. The caller holds the lock. It gets its name
    /// once it is the user's alone.
    pub(crate) fn bind(path: &Path) -> Result<(Self, UnixListener)> {
        let length = path.as_os_str().len();
        if length + ".new".len() > MAX_PATH_BYTES {
            let message = format!(
                "the Unix socket would be '{}': {length} bytes, and an address has few more than 100",
                path.display()
            );
            return Err(Error::new(ErrorKind::Usage, message).hint("choose a shorter path"));
        }
        let failed = |error: &io::Error| {
            let doing = format!("nobody can be served on the Unix socket {}", path.display());
            Error::caused(ErrorKind::Failed, doing, error)
        };
        let found = std::fs::symlink_metadata(path);
        if found.is_ok_and(|found| !found.file_type().is_socket()) {
            let message = format!("{} is there, and is no socket", path.display());
            return Err(Error::new(ErrorKind::Conflict, message).hint("choose another path, or remove it"));
        }
        let listener = bind(path).map_err(|error| failed(&error))?;
        Ok((Self { path: path.to_owned() }, listener))
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let mut unnamed = path.as_os_str().to_owned();
    unnamed.push(".new");
    match std::fs::remove_file(&unnamed) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&unnamed)?;
    let named = std::fs::set_permissions(&unnamed, Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(&unnamed, path));
    if named.is_err() {
        let _ = std::fs::remove_file(&unnamed);
    }
    named.map(|()| listener)
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_its_users_alone_and_takes_the_place_of_a_dead_ones_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wharf.sock");
        let lock = ServeLock::take(dir.path()).unwrap();
        assert_eq!(ServeLock::take(dir.path()).err().unwrap().kind, ErrorKind::Conflict);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (place, _listener) = SocketPlace::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(tokio::net::UnixStream::connect(&path).await.is_ok());
        drop(place);
        assert!(!path.exists());
        File::create(&path).unwrap();
        assert_eq!(SocketPlace::bind(&path).err().unwrap().kind, ErrorKind::Conflict);
        drop(lock);
        assert!(ServeLock::take(dir.path()).is_ok());
        let long = dir.path().join("x".repeat(100));
        assert_eq!(SocketPlace::bind(&long).err().unwrap().kind, ErrorKind::Usage);
    }
}
