//! Tries a library that was never seen in a process of its own before it is loaded here.
//!
//! Loading runs a library's constructors, before anybody has a say: one that crashes or exits takes the whole process
//! along, one that does not return blocks every other library behind it. So whatever has no verdict yet
//! ([`crate::verdict`]) is loaded in a child first (`probe_process`), which has a deadline and nothing to lose.
use crate::client::millis;
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

/// So much of the end of what a child says is kept.
const KEPT_BYTES: usize = 2048;

/// A library that hung is not tried again by this process before this time has passed: a command that asks for it twice
/// waits once.
const RETRY_AFTER_HANG: Duration = Duration::from_secs(60);

/// Tries libraries.
#[derive(Clone, Debug)]
pub struct Prober {
    executable: PathBuf,
    verdicts: Verdicts,
    /// When libraries hung, by digest.
    hung: Arc<Mutex<HashMap<String, Instant>>>,
}

/// What came of loading a library in a child.
#[derive(Debug)]
enum Outcome {
    /// It was loaded.
    Loaded,
    /// It cannot be loaded, and said so: whoever loads it is told the reason.
    CameBack,
    /// The library ended the child.
    Ended { how: String, words: String },
    /// Something else may have ended the child: somebody's signal, a limit, the kernel for want of memory.
    Interrupted { how: String },
    /// The child could not try it, and said why.
    Trouble { words: String },
    /// The child did not end in time, and was killed.
    TimedOut,
}

impl Prober {
    /// One that runs this binary with [`PROBE_ARGUMENT`], and keeps what comes of libraries here.
    pub fn new(executable: PathBuf, verdicts: Verdicts) -> Self {
        Self { executable, verdicts, hung: Arc::default() }
    }

    /// The libraries that hung.
    fn hung(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.hung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails unless this library can be loaded without ending or blocking the process, as far as that can be told. To
    /// be called on the library's own thread: it blocks until the child has ended.
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
            // The machine may have been busy: the next command tries it again.
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
            // The very bytes that were checked.
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
        // Some other process may hold the pipes open: what is in them now is all that is waited for.
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

/// What the end of a child says of the library that it tried, having told no result. A verdict is kept for good, so it
/// is one only where nobody but the library can have done it.
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

/// Whether code ends its own process by this signal; others are sent.
fn is_fault(signal: i32) -> bool {
    const FAULTS: [Signal; 7] =
        [Signal::SEGV, Signal::BUS, Signal::ABORT, Signal::ILL, Signal::FPE, Signal::TRAP, Signal::SYS];
    FAULTS.iter().any(|fault| fault.as_raw() == signal)
}

/// Waits for a child's end, reading what it says meanwhile. None: it did not end in time; where the caller of this
/// process has it ignore the ends of children, nobody is told how it ended.
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

/// A child that ends with its whole process group when this is dropped.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        // The group's number is the child's, which stays its own until it was waited for; where it was, what is left
        // of the group keeps the number its own.
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = group.map(|group| kill_process_group(group, Signal::KILL));
            let _ = self.0.wait();
        }
    }
}

/// The end of what comes through a pipe.
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

    /// Reads what is there now.
    fn read_on(&mut self) {
        /// One that writes without end is read on when the others were looked at.
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

/// The last line that says something.
fn last_line(said: &str) -> String {
    /// More is no reason but a report.
    const MAX_CHARS: usize = 300;
    let line = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    // A semicolon parts what is wrong from what to do.
    line.replace(';', ",").chars().take(MAX_CHARS).collect()
}

/// How a process ended, in words that follow its name.
pub fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (_, Some(code)) => format!("exited with code {code}"),
        _ => format!("ended: {status}"),
    }
}
