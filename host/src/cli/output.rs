//! The command's own stdin and stdout, which plugins do not have.
//!
//! A plugin is code in this process: its output would get into a result, and its reads would take the command's input. So
//! both descriptors are duplicated before any plugin is loaded, with CLOEXEC, and descriptors 0 and 1 then lead elsewhere:
//! 0 to nothing, 1 to stderr, where everything goes that is no result.
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use std::fs::File;
use std::io::{self, LineWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The lowest number after stdin, stdout and stderr.
const FIRST_FREE_DESCRIPTOR: i32 = 3;

static OWN: OnceLock<Own> = OnceLock::new();

struct Own {
    stdin: File,
    /// The same file as that of `writer`, for callers that watch it.
    stdout: File,
    writer: Mutex<LineWriter<File>>,
}

/// Takes stdin and stdout away from libraries that are loaded later. Called once, before the first plugin is loaded.
///
/// # Errors
/// No descriptor is free.
pub(super) fn take() -> io::Result<()> {
    let stdin_file = File::from(fcntl_dupfd_cloexec(stdin(), FIRST_FREE_DESCRIPTOR)?);
    let stdout_file = File::from(fcntl_dupfd_cloexec(stdout(), FIRST_FREE_DESCRIPTOR)?);
    let writer = Mutex::new(LineWriter::new(stdout_file.try_clone()?));
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(stderr())?;
    // It is called only once, so this cannot fail.
    let _ = OWN.set(Own { stdin: stdin_file, stdout: stdout_file, writer });
    Ok(())
}

fn own() -> io::Result<&'static Own> {
    OWN.get().ok_or_else(|| io::Error::other("stdout was not taken yet"))
}

/// Stdout, locked, buffered by lines.
pub(super) fn writer() -> io::Result<MutexGuard<'static, LineWriter<File>>> {
    Ok(own()?.writer.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Stdout's descriptor, for watching it.
pub(super) fn descriptor() -> io::Result<BorrowedFd<'static>> {
    Ok(own()?.stdout.as_fd())
}

/// Stdin.
pub(super) fn reader() -> io::Result<&'static File> {
    Ok(&own()?.stdin)
}
