//! [`ProcessIdentity`]: a process that can be told from a later one with the same pid.
//!
//! R12: nothing is signalled, and nothing is called alive, on the strength of a pid. The start time (clock ticks
//! since boot) tells two processes of one boot apart; the boot id makes every identity void after a reboot. The
//! boot id is passed in, so that a reboot can be acted out.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One boot of the machine's kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(String);

/// A process of one boot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since boot (field 22 of `/proc/PID/stat`, proc_pid_stat(5)).
    pub start_time: u64,
    /// In which boot.
    pub boot_id: BootId,
}

/// Nothing is known about a process: no evidence that it is gone.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file of `/proc` could not be read.
    #[error("cannot read {path}", path = path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of `/proc` has another shape than proc_pid_stat(5) says.
    #[error("{path} has an unknown shape", path = path.display())]
    Malformed {
        /// Which one.
        path: PathBuf,
    },
}

/// What `/proc/PID/stat` says of a process.
struct Stat {
    state: char,
    start_time: u64,
}

impl BootId {
    /// The boot that this process runs in.
    pub fn current() -> Result<Self, IdentityError> {
        let path = PathBuf::from("/proc/sys/kernel/random/boot_id");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self(text.trim().to_owned())),
            Err(source) => Err(IdentityError::Unreadable { path, source }),
        }
    }

    /// A boot with this id: to act out a reboot.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl ProcessIdentity {
    /// The identity of the process that now has this pid; nothing if there is none, or if it has ended and only
    /// waits to be reaped.
    pub fn of(pid: u32, boot: &BootId) -> Result<Option<Self>, IdentityError> {
        let living = Stat::read(pid)?.filter(Stat::is_living);
        Ok(living.map(|stat| Self { pid, start_time: stat.start_time, boot_id: boot.clone() }))
    }

    /// The identity of the calling process.
    pub fn current(boot: &BootId) -> Result<Self, IdentityError> {
        let pid = std::process::id();
        // A process that asks is alive; what is missing can only be a /proc of another pid namespace.
        Self::of(pid, boot)?.ok_or_else(|| IdentityError::Malformed { path: Stat::path(pid) })
    }

    /// Whether this very process lives: same boot, same pid, same start time, and not waiting to be reaped.
    pub fn is_alive(&self, boot: &BootId) -> Result<bool, IdentityError> {
        if self.boot_id != *boot {
            return Ok(false);
        }
        Ok(Self::of(self.pid, boot)?.is_some_and(|found| found.start_time == self.start_time))
    }
}

impl Stat {
    fn path(pid: u32) -> PathBuf {
        PathBuf::from(format!("/proc/{pid}/stat"))
    }

    /// Nothing if no process has this pid. A process that ends between open and read gives ESRCH.
    fn read(pid: u32) -> Result<Option<Self>, IdentityError> {
        let path = Self::path(pid);
        match fs::read(&path) {
            Ok(bytes) => match Self::parse(&bytes) {
                Some(stat) => Ok(Some(stat)),
                None => Err(IdentityError::Malformed { path }),
            },
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) if source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(None),
            Err(source) => Err(IdentityError::Unreadable { path, source }),
        }
    }

    /// The command name (field 2) is in parentheses and may hold any byte, parentheses and newlines too: what
    /// follows the *last* parenthesis are the fields from the third on.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let name_end = bytes.iter().rposition(|byte| *byte == b')')?;
        let fields = std::str::from_utf8(&bytes[name_end + 1..]).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let start_time = fields.nth(22 - 4)?.parse().ok()?;
        Some(Self { state, start_time })
    }

    fn is_living(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    use super::*;

    fn boot() -> BootId {
        BootId::current().unwrap()
    }

    #[test]
    fn this_process_is_alive() {
        let me = ProcessIdentity::current(&boot()).unwrap();
        assert_eq!(me.pid, std::process::id());
        assert!(me.is_alive(&boot()).unwrap());
    }

    #[test]
    fn r12_another_boot_makes_an_identity_void() {
        let me = ProcessIdentity::current(&boot()).unwrap();
        assert!(!me.is_alive(&BootId::from_text("another boot")).unwrap());
    }

    #[test]
    fn r12_the_same_pid_with_another_start_time_is_another_process() {
        let mut me = ProcessIdentity::current(&boot()).unwrap();
        me.start_time += 1;
        assert!(!me.is_alive(&boot()).unwrap());
    }

    #[test]
    fn a_process_that_waits_to_be_reaped_is_not_alive_and_neither_is_a_reaped_one() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let identity = ProcessIdentity::of(child.id(), &boot()).unwrap().unwrap();
        assert!(identity.is_alive(&boot()).unwrap());

        drop(child.stdin.take());
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        assert!(!identity.is_alive(&boot()).unwrap(), "a zombie");
        assert_eq!(ProcessIdentity::of(child.id(), &boot()).unwrap(), None);

        child.wait().unwrap();
        assert!(!identity.is_alive(&boot()).unwrap(), "reaped");
    }

    #[test]
    fn a_command_name_may_hold_spaces_parentheses_and_newlines() {
        let line =
            b"4242 (a) S 1 (b c\n) d)) R 1 4242 4242 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 1 2\n";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.start_time), ('R', 987_654));
    }

    #[test]
    fn a_short_line_is_no_evidence() {
        assert!(Stat::parse(b"4242 (cat) S 1 2 3").is_none());
        assert!(Stat::parse(b"").is_none());
    }
}
