//! The introduction of a Podman, remembered with its process.
//!
//! Podman takes longer to introduce itself than half of a container's start. A process keeps its storage and its machine for
//! life, so its introduction holds as long as it runs: pid, start time and boot tell it from every later process. The
//! kernel tells which process listens on a socket. If that is not Podman itself (systemd listens for it, or a program passes
//! connections on), nothing is remembered, since another engine may answer the next time.
//!
//! `engine.json` in the runtime's folder is written by a deployment and by nothing else (R05). It is worth nothing once the
//! process has ended, and may be lost.
use crate::{flavor::Flavor, identity::Identity};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::net::UnixStream;
use wharf_sdk::process_identity::ProcessIdentity;

/// The file's name.
const FILE: &str = "engine.json";
/// A longer file is none.
const MAX_BYTES: u64 = 64 * 1024;

/// A process and its introduction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    process: ProcessIdentity,
    identity: Identity,
}

/// The last introduction of a Podman. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered {
    /// None if nothing is kept beyond the end of this process.
    folder: Option<PathBuf>,
    known: Arc<Mutex<Option<Known>>>,
}

impl Remembered {
    /// For a runtime with this folder. Docker introduces itself at once, so nothing is remembered of it.
    pub(crate) fn of(flavor: Flavor, folder: &Path) -> Self {
        match flavor {
            Flavor::Docker => Self::default(),
            Flavor::Podman => Self::in_folder(folder),
        }
    }

    /// With the file that an earlier process left in this folder.
    fn in_folder(folder: &Path) -> Self {
        let known = read(&folder.join(FILE)).ok();
        Self { folder: Some(folder.to_owned()), known: Arc::new(Mutex::new(known)) }
    }

    /// The identity of this process, if it is remembered.
    pub(crate) fn identity_of(&self, process: &ProcessIdentity) -> Option<Identity> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| known.process == *process).map(|known| known.identity.clone())
    }

    /// Remembers the introduction of a process.
    pub(crate) fn learn(&self, process: ProcessIdentity, identity: &Identity) {
        let known = Known { process, identity: identity.clone() };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }

    /// Writes it for later processes. If it cannot be written, they only lose time.
    pub(crate) fn keep(&self) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (Some(folder), Some(known)) = (&self.folder, known) else { return };
        let path = folder.join(FILE);
        if read(&path).is_ok_and(|kept| kept == known) {
            return;
        }
        if let Err(error) = write(folder, &path, &known) {
            tracing::debug!(%error, path = %path.display(), "who the engine is cannot be kept");
        }
    }
}

fn read(path: &Path) -> io::Result<Known> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn write(folder: &Path, path: &Path, known: &Known) -> io::Result<()> {
    let new = folder.join(format!("{FILE}.{}.tmp", std::process::id()));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let written = file.write_all(&serde_json::to_vec(known)?).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

/// The Podman that listens at the other end of a connection; none if that is another program, or cannot be told.
pub(crate) fn listening(connection: &UnixStream) -> Option<ProcessIdentity> {
    let process = ProcessIdentity::of(connection.peer_cred().ok()?.pid()?).ok()?;
    let proc = PathBuf::from(format!("/proc/{}", process.pid));
    let program = fs::read_link(proc.join("exe")).ok()?;
    let arguments = fs::read(proc.join("cmdline")).ok()?;
    // The pid still belongs to the process whose program and arguments were read.
    (is_service(&program, &arguments) && ProcessIdentity::of(process.pid).ok()? == process).then_some(process)
}

/// `podman … system service …`.
fn is_service(program: &Path, arguments: &[u8]) -> bool {
    let mut arguments = arguments.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let is_podman = program.file_name() == Some(OsStr::new("podman"));
    is_podman
        && arguments.any(|argument| argument == "system")
        && arguments.any(|argument| argument == "service")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_sdk::process_identity::BootId;

    fn identity(instance: &str) -> Identity {
        Identity { instance: instance.to_owned(), hostname: Some("here".to_owned()) }
    }

    #[test]
    fn r04_an_answer_remembered_for_one_engine_process_counts_for_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let own = ProcessIdentity::of(std::process::id().cast_signed()).unwrap();
        let remembered = Remembered::in_folder(folder.path());
        assert_eq!(remembered.identity_of(&own), None);
        remembered.learn(own.clone(), &identity("one"));
        assert_eq!(Remembered::in_folder(folder.path()).identity_of(&own), None, "it was not kept");
        remembered.keep();
        let later = Remembered::in_folder(folder.path());
        assert_eq!(later.identity_of(&own), Some(identity("one")));
        let others = [
            ProcessIdentity { pid: own.pid + 1, ..own.clone() },
            ProcessIdentity { start_time: own.start_time + 1, ..own.clone() },
            ProcessIdentity { boot_id: BootId::from_text("another"), ..own.clone() },
        ];
        assert!(others.iter().all(|other| later.identity_of(other).is_none()));
        File::create(folder.path().join(FILE)).unwrap().write_all(b"{\"process\":").unwrap();
        assert_eq!(Remembered::in_folder(folder.path()).identity_of(&own), None);
    }

    #[test]
    fn podmans_service_is_told_from_what_else_may_listen() {
        let arguments = b"podman\0--root\0/data\0system\0service\0--time=0\0unix:///x\0";
        assert!(is_service(Path::new("/usr/bin/podman"), arguments));
        assert!(!is_service(Path::new("/usr/lib/systemd/systemd"), b"/sbin/init\0"));
        assert!(!is_service(Path::new("/usr/bin/socat"), arguments));
        assert!(!is_service(Path::new("/usr/bin/podman"), b"podman\0run\0service\0"));
    }

    #[tokio::test]
    async fn a_socket_of_another_program_than_podman_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        let connection = UnixStream::connect(folder.path().join("socket")).await.unwrap();
        assert_eq!(listening(&connection), None);
        drop(listener);
    }
}
