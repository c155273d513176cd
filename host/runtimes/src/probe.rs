//! [`Prober`]: tries a library that was never seen in a child process, before it is loaded here.
//!
//! Loading a library runs its constructors before anything can be checked: one that crashes or exits ends the whole
//! process, and one that does not return blocks every other library. So a library without a verdict ([`crate::verdict`]) is
//! loaded by a child first (`probe_process`), with a deadline.
use crate::call_documents::millis;
use crate::error::PluginError;
use crate::in_process::load::{Checked, LOAD_DEADLINE};
use crate::in_process::probe_process::{CAME_BACK, LOADED, PROBE_ARGUMENT, TROUBLE_CODE};
use crate::verdict::{Verdict, Verdicts};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The number of bytes at the end of a child's output that are kept.
const KEPT_BYTES: usize = 2048;

/// This process does not try a library that hung again before this time has passed, so a command that needs it twice waits
/// only once.
const RETRY_AFTER_HANG: Duration = Duration::from_secs(60);

/// Tries libraries.
#[derive(Clone, Debug)]
pub struct Prober {
    executable: PathBuf,
    verdicts: Verdicts,
    /// The times at which libraries hung, by digest.
    hung: Arc<Mutex<HashMap<String, Instant>>>,
}

/// The outcome of loading a library in a child.
#[derive(Debug)]
enum Outcome {
    /// It was loaded.
    Loaded,
    /// The library cannot be loaded, and did no harm. Loading it here will return the reason.
    CameBack,
    /// The library ended the child.
    Ended { how: String, words: String },
    /// Something else may have ended the child: a signal from outside, a limit, the kernel for want of memory.
    Interrupted { how: String },
    /// The child could not try the library; its words say why.
    Trouble { words: String },
    /// The child did not end in time, and was killed.
    TimedOut,
}

impl Prober {
    /// A prober that runs this binary with [`PROBE_ARGUMENT`], and keeps verdicts.
    pub fn new(executable: PathBuf, verdicts: Verdicts) -> Self {
        Self { executable, verdicts, hung: Arc::default() }
    }

    /// The libraries that hung.
    fn hung(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.hung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails unless this library can be loaded without ending or blocking the process, as far as a trial can tell. To be
    /// called on the library's own thread: it blocks until the child has ended.
    pub(crate) fn ensure_it_comes_back(&self, path: &Path, checked: &Checked) -> Result<(), PluginError> {
        let ends = |how, words| Err(PluginError::Ends { path: path.to_owned(), how, words });
        let hangs = PluginError::Hangs { path: path.to_owned(), deadline_ms: millis(LOAD_DEADLINE) };
        if self.hung().get(&checked.sha256).is_some_and(|then| then.elapsed() < RETRY_AFTER_HANG) {
            return Err(hangs);
        }
        match self.verdicts.of(&checked.sha256) {
            Some(Verdict::Loads) => return Ok(()),
            Some(Verdict::Ends { how, words }) => return ends(how, words),
            None => {}
        }
        let outcome = self
            .attempt(path, &checked.file)
            .map_err(|source| PluginError::Host { path: path.to_owned(), source })?;
        tracing::debug!(library = %path.display(), ?outcome, "a library was tried in a process of its own");
        match outcome {
            Outcome::Loaded => {
                self.verdicts.keep(&checked.sha256, &Verdict::Loads);
                Ok(())
            }
            Outcome::CameBack => Ok(()),
            Outcome::Ended { how, words } => {
                let verdict = Verdict::Ends { how: how.clone(), words: words.clone() };
                self.verdicts.keep(&checked.sha256, &verdict);
                ends(how, words)
            }
            Outcome::Interrupted { how } => Err(PluginError::Interrupted { path: path.to_owned(), how }),
            Outcome::Trouble { words } => {
                Err(PluginError::Host { path: path.to_owned(), source: io::Error::other(words) })
            }
            // No verdict is kept, since the machine may have been busy: the next command tries again.
            Outcome::TimedOut => {
                self.hung().insert(checked.sha256.clone(), Instant::now());
                Err(hangs)
            }
        }
    }

    fn attempt(&self, path: &Path, file: &File) -> io::Result<Outcome> {
        let child = Command::new(&self.executable)
            .arg(PROBE_ARGUMENT)
            .arg(path)
            // The child gets the very bytes that were checked, as a descriptor.
            .stdin(Stdio::from(file.try_clone()?))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let mut child = Ending(child);
        let expected = |word: &str| format!("{word} {}\n", child.0.id());
        let (loaded, came_back) = (expected(LOADED), expected(CAME_BACK));
        let (mut result, mut said) = (Tail::of(child.0.stdout.take())?, Tail::of(child.0.stderr.take())?);
        let Some(status) = wait(&mut child.0, &mut [&mut result, &mut said], LOAD_DEADLINE)? else {
            return Ok(Outcome::TimedOut);
        };
        // Some other process may hold the pipes open, so only the bytes that are there now are read.
        result.read_on();
        said.read_on();
        let is_fine = status.is_none_or(|status| status.success());
        Ok(match result.text() {
            text if is_fine && text == loaded => Outcome::Loaded,
            text if is_fine && text == came_back => Outcome::CameBack,
            _ => ended(status, last_line(&said.text())),
        })
    }
}

/// The verdict on a library whose child ended without a result. A verdict is kept for good, so the library is blamed only
/// if nobody else can have ended the child.
fn ended(status: Option<ExitStatus>, words: String) -> Outcome {
    let Some(status) = status else {
        return Outcome::Interrupted { how: "ended, which way is not known".to_owned() };
    };
    let how = how(status);
    match (status.signal(), status.code()) {
        (None, Some(code)) if code == i32::from(TROUBLE_CODE) => Outcome::Trouble { words },
        (Some(signal), _) if !is_fault(signal) => Outcome::Interrupted { how },
        _ => Outcome::Ended { how, words },
    }
}

/// Whether code ends its own process by this signal. Other signals are sent from outside.
fn is_fault(signal: i32) -> bool {
    const FAULTS: [Signal; 7] =
        [Signal::SEGV, Signal::BUS, Signal::ABORT, Signal::ILL, Signal::FPE, Signal::TRAP, Signal::SYS];
    FAULTS.iter().any(|fault| fault.as_raw() == signal)
}

/// Waits for a child's end and reads its output meanwhile. None: it did not end in time. `Some(None)`: it ended, but its
/// status is unknown, because whoever started this process lets it ignore the ends of children.
fn wait(
    child: &mut Child,
    pipes: &mut [&mut Tail; 2],
    within: Duration,
) -> io::Result<Option<Option<ExitStatus>>> {
    let raw = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
    let process = pidfd_open(raw.ok_or(io::ErrorKind::NotFound)?, PidfdFlags::empty())?;
    let deadline = Instant::now() + within;
    loop {
        let Some(left) = deadline.checked_duration_since(Instant::now()) else { return Ok(None) };
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let open = pipes.iter().filter_map(|pipe| pipe.pipe.as_ref());
        let mut asked: Vec<PollFd<'_>> = std::iter::once(process.as_fd())
            .chain(open.map(AsFd::as_fd))
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        rustix::io::retry_on_intr(|| poll(&mut asked, Some(&left)))?;
        if !asked[0].revents().is_empty() {
            return match child.wait() {
                Err(error) if error.raw_os_error() == Some(Errno::CHILD.raw_os_error()) => Ok(Some(None)),
                ended => ended.map(|status| Some(Some(status))),
            };
        }
        for pipe in pipes.iter_mut() {
            pipe.read_on();
        }
    }
}

/// A child; dropping this kills its whole process group.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        // The group has the child's number. As long as the child was not waited for, no other process can get that number.
        // If it was waited for, processes that are left in the group keep the number in use.
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = group.map(|group| kill_process_group(group, Signal::KILL));
            let _ = self.0.wait();
        }
    }
}

/// The end of the output that comes through a pipe.
struct Tail {
    pipe: Option<File>,
    bytes: Vec<u8>,
}

impl Tail {
    fn of(pipe: Option<impl Into<OwnedFd>>) -> io::Result<Self> {
        let pipe: Option<OwnedFd> = pipe.map(Into::into);
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { pipe: pipe.map(File::from), bytes: Vec::new() })
    }

    /// Reads the bytes that are there now.
    fn read_on(&mut self) {
        /// A process may write without end; after this many reads, the other pipe is looked at first.
        const ROUNDS: usize = 64;
        let mut chunk = [0; 4096];
        for _ in 0..ROUNDS {
            let Some(pipe) = &mut self.pipe else { return };
            match pipe.read(&mut chunk) {
                Ok(0) => self.pipe = None,
                Ok(read) => {
                    self.bytes.extend(&chunk[..read]);
                    let surplus = self.bytes.len().saturating_sub(KEPT_BYTES);
                    self.bytes.drain(..surplus);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// The last line with text.
fn last_line(said: &str) -> String {
    /// A longer line is cut.
    const MAX_CHARS: usize = 300;
    let line = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    // In messages, a semicolon separates the fault from the remedy, so it is replaced here.
    line.replace(';', ",").chars().take(MAX_CHARS).collect()
}

/// The end of a process, in words that follow its name.
pub fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (_, Some(code)) => format!("exited with code {code}"),
        _ => format!("ended: {status}"),
    }
}
