//! [`ProcessIdentity`]: tells a process from a later one with the same pid.
//!
//! R12: nothing is signalled, and nothing is called alive, on the strength of a pid. The start time (clock ticks since
//! boot) tells two processes of one boot apart; the boot id makes every identity void after a reboot. Records and handles
//! hold identities; to signal the process, hold it by a descriptor (feature `pidfd`). The launcher's protocol, the process
//! runtime and the host's records use it. It must not know what the process is for.
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    sync::OnceLock,
};

/// One boot of the machine's kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct BootId(String);

impl BootId {
    /// The boot that this process runs in. It is read once, since no process outlives its boot.
    ///
    /// # Errors
    /// `/proc` cannot be read; the message names the file.
    pub fn current() -> io::Result<Self> {
        const FILE: &str = "/proc/sys/kernel/random/boot_id";
        static BOOT: OnceLock<BootId> = OnceLock::new();
        if let Some(boot) = BOOT.get() {
            return Ok(boot.clone());
        }
        let text = fs::read_to_string(FILE).map_err(|error| unreadable(&FILE, &error))?;
        Ok(BOOT.get_or_init(|| Self(text.trim().to_owned())).clone())
    }

    /// A boot with this id, for tests that act out a reboot.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A process of one boot: a pid alone means nothing once it has been used again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks after boot, proc_pid_stat(5).
    pub start_time: u64,
    /// The boot in which the process runs.
    pub boot_id: BootId,
}

impl ProcessIdentity {
    /// The identity of the process that has this pid now, even if it has ended and waits to be reaped.
    ///
    /// # Errors
    /// Of kind `NotFound`: there is none. All others are no evidence.
    pub fn of(pid: i32) -> io::Result<Self> {
        let stat = ProcessStat::of(pid)?;
        Ok(Self { pid, start_time: stat.start_time, boot_id: BootId::current()? })
    }

    /// The identity of the calling process, in this boot.
    ///
    /// # Errors
    /// `/proc` cannot be read, or is of another pid namespace.
    pub fn current(boot: &BootId) -> io::Result<Self> {
        let pid = std::process::id().cast_signed();
        Ok(Self { pid, start_time: ProcessStat::of(pid)?.start_time, boot_id: boot.clone() })
    }

    /// True if this very process lives: same boot, same pid, same start time, and not waiting to be reaped. The boot is an
    /// argument, so that tests can act out a reboot.
    ///
    /// # Errors
    /// `/proc` cannot be read: no evidence that it is gone.
    pub fn is_alive(&self, boot: &BootId) -> io::Result<bool> {
        if self.boot_id != *boot {
            return Ok(false);
        }
        match ProcessStat::of(self.pid) {
            Ok(stat) => Ok(stat.start_time == self.start_time && !stat.is_dead()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The fields of `/proc/PID/stat` that wharf uses, proc_pid_stat(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Field 3: `Z` is a process that has ended and has not been waited for.
    pub state: char,
    /// Field 4: the parent.
    pub parent: i32,
    /// Field 22: clock ticks after boot.
    pub start_time: u64,
}

impl ProcessStat {
    /// Reads the fields.
    ///
    /// # Errors
    /// Of kind `NotFound`: there is no such process. All others are no evidence; the message names the file.
    pub fn of(pid: i32) -> io::Result<Self> {
        /// `ESRCH`: the process ended between open and read.
        const NO_SUCH_PROCESS: i32 = 3;
        /// Room for the fields of one line: numbers of at most twenty digits, and a name.
        const LINE_BYTES: usize = 4096;
        check_proc()?;
        let path = format!("/proc/{pid}/stat");
        // Files of /proc have no length that tells how much to read, and a search reads the file of every process.
        let mut bytes = Vec::with_capacity(LINE_BYTES);
        let read = File::open(&path).and_then(|file| file.take(LINE_BYTES as u64).read_to_end(&mut bytes));
        read.map_err(|error| match error.raw_os_error() {
            Some(NO_SUCH_PROCESS) => io::ErrorKind::NotFound.into(),
            _ => unreadable(&path, &error),
        })?;
        Self::parse(&bytes)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{path} has an unknown shape")))
    }

    /// The command name (field 2) is in parentheses and may hold any byte, parentheses and newlines too: after the *last*
    /// parenthesis come the fields from the third on.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let name_end = bytes.iter().rposition(|byte| *byte == b')')?;
        let fields = std::str::from_utf8(&bytes[name_end + 1..]).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let start_time = fields.nth(22 - 5)?.parse().ok()?;
        Some(Self { state, parent, start_time })
    }

    /// True if the process has ended and waits to be reaped.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Checks that `/proc` is that of this process's pid namespace. A `/proc` that was mounted in another one (`unshare --pid`
/// without `--mount-proc`) shows the process that has a pid there, while a signal reaches the process that has it here.
///
/// # Errors
/// `/proc` belongs to another pid namespace; the kind is `Unsupported`.
pub fn check_proc() -> io::Result<()> {
    static IS_OWN: OnceLock<bool> = OnceLock::new();
    let is_own = || {
        let own = std::process::id().to_string();
        fs::read_link("/proc/self").is_ok_and(|number| number.as_os_str() == own.as_str())
    };
    if *IS_OWN.get_or_init(is_own) {
        return Ok(());
    }
    let message =
        "/proc is not that of this pid namespace: its numbers mean other processes; mount it anew there";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

fn unreadable(path: &impl fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    fn boot() -> BootId {
        BootId::current().unwrap()
    }

    #[test]
    fn this_process_has_an_identity_that_stays_and_is_alive() {
        let me = ProcessIdentity::current(&boot()).unwrap();
        assert_eq!(me, ProcessIdentity::of(std::process::id().cast_signed()).unwrap());
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
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let identity = ProcessIdentity::of(child.id().cast_signed()).unwrap();
        assert!(identity.is_alive(&boot()).unwrap());

        drop(child.stdin.take());
        // A process's stdout ends while it exits; the process itself waits to be reaped until `wait`.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        while !ProcessStat::of(identity.pid).unwrap().is_dead() {
            std::thread::yield_now();
        }
        assert!(!identity.is_alive(&boot()).unwrap(), "a zombie");

        child.wait().unwrap();
        assert!(!identity.is_alive(&boot()).unwrap(), "reaped");
        assert_eq!(ProcessIdentity::of(identity.pid).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_command_name_may_hold_spaces_parentheses_and_newlines() {
        let line =
            b"4242 (a) S 1 (b c\n) d)) R 7 4242 4242 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 1 2\n";
        let expected = ProcessStat { state: 'R', parent: 7, start_time: 987_654 };
        assert_eq!(ProcessStat::parse(line), Some(expected));
    }

    #[test]
    fn a_short_stat_line_is_no_evidence_about_a_process() {
        assert!(ProcessStat::parse(b"4242 (cat) S 1 2 3").is_none());
        assert!(ProcessStat::parse(b"").is_none());
    }
}
