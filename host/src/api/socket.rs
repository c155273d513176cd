//! The Unix socket, and the lock of who serves one state directory.
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::StateDir;

/// The way out where the state directory is on a disk that takes no files.
pub(crate) const NEEDS_A_DISK: &str = "what serves keeps its lock, its socket and its operations in the state directory; where that \
     cannot be written, the commands that only read work all the same";

/// The way out for the socket alone: what only reads is served from a read-only disk, too.
const ELSEWHERE: &str =
    "choose a path for it in a folder that is there and can be written; what only reads is served from there";

/// The longest path that is an address: `sun_path` of unix(7), with the zero at its end.
const MAX_PATH_BYTES: usize = 107;

/// Where the socket is unless somebody says otherwise.
pub fn default_socket(state: &StateDir) -> PathBuf {
    state.api().join("wharf.sock")
}

/// The right to serve a state directory, held as long as this lives. Its file is never unlinked.
///
/// Where the disk is read-only there is none to be held: who can write nothing is in nobody's way, and no change can be
/// recorded, so none is made.
pub(crate) struct ServeLock {
    _file: Option<File>,
}

impl ServeLock {
    /// Of a folder whose disk is read-only.
    pub(crate) const fn of_nothing() -> Self {
        Self { _file: None }
    }

    /// Takes it, or fails if another process has it.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        let failed = |error: &io::Error| {
            let message = format!("the lock {} cannot be taken", path.display());
            Error::caused(ErrorKind::Failed, message, error).hint(NEEDS_A_DISK)
        };
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = match open {
            // The disk may be read-only for this process alone, and another one serves what can be changed.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => return Ok(Self::of_nothing()),
            opened => opened,
        };
        let file = file.map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => {
                let message = "another process serves these records already";
                Err(Error::new(ErrorKind::Conflict, message).hint(format!("its lock is {}", path.display())))
            }
            Err(TryLockError::Error(error)) => Err(failed(&error)),
        }
    }
}

/// The socket's file, removed with this if it is still the one that was made.
pub(crate) struct SocketPlace {
    path: PathBuf,
    /// Its device and its number there.
    made: (u64, u64),
}

impl SocketPlace {
    /// Listens, in the place of a socket on which nobody listens any more. It gets its name once it is the user's alone.
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
            let failed = Error::caused(ErrorKind::Failed, doing, error);
            match error.kind() {
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotFound => failed.hint(ELSEWHERE),
                _ => failed,
            }
        };
        let found = std::fs::symlink_metadata(path);
        if found.is_ok_and(|found| !found.file_type().is_socket()) {
            let message = format!("{} is there, and is no socket", path.display());
            return Err(Error::new(ErrorKind::Conflict, message).hint("choose another path, or remove it"));
        }
        // The lock is that of the records, and not of this path: it may be anybody's.
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let message = format!("another process listens on {}", path.display());
            return Err(Error::new(ErrorKind::Conflict, message).hint("end it, or choose another path"));
        }
        let (listener, made) = bind(path).map_err(|error| failed(&error))?;
        Ok((Self { path: path.to_owned(), made }, listener))
    }
}

fn bind(path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    let mut unnamed = path.as_os_str().to_owned();
    unnamed.push(".new");
    match std::fs::symlink_metadata(&unnamed) {
        // A process that was killed has left it.
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(&unnamed)?,
        Ok(_) => {
            let message = format!("{} is there, and is no socket", Path::new(&unnamed).display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&unnamed)?;
    let named = || -> io::Result<(u64, u64)> {
        std::fs::set_permissions(&unnamed, Permissions::from_mode(0o600))?;
        let made = identity(Path::new(&unnamed))?;
        std::fs::rename(&unnamed, path)?;
        Ok(made)
    };
    let named = named();
    if named.is_err() {
        let _ = std::fs::remove_file(&unnamed);
    }
    named.map(|made| (listener, made))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        // Another process may have taken the place.
        if identity(&self.path).is_ok_and(|found| found == self.made) {
            let _ = std::fs::remove_file(&self.path);
        }
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

    #[tokio::test]
    async fn what_others_have_at_a_path_stays_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("theirs.sock");
        let theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let before = identity(&path).unwrap();
        assert_eq!(SocketPlace::bind(&path).err().unwrap().kind, ErrorKind::Conflict);
        assert_eq!(identity(&path).unwrap(), before);
        drop(theirs);
        let (place, _listener) = SocketPlace::bind(&path).unwrap();
        // Another process has put its own there.
        std::fs::remove_file(&path).unwrap();
        let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(place);
        assert!(path.exists());
        let notes = dir.path().join("notes");
        File::create(dir.path().join("notes.new")).unwrap();
        assert!(SocketPlace::bind(&notes).is_err());
        assert!(dir.path().join("notes.new").exists());
    }
}
