//! Which process: a pid means nothing once it has been used again (R12).
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use wharf_sdk::launch::ProcessIdentity;
use wharf_sdk::{Error, Result};

/// The present boot.
pub(crate) fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
    Ok(text.trim().to_owned())
}

/// A descriptor of exactly this process, or none if it has ended. A zombie has ended.
pub(crate) fn open(identity: &ProcessIdentity) -> Result<Option<OwnedFd>> {
    if identity.boot_id != boot_id()? {
        return Ok(None);
    }
    let Some(pid) = Pid::from_raw(identity.pid) else { return Ok(None) };
    let descriptor = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(descriptor) => descriptor,
        Err(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(Error::io("opening a process", &error.into())),
    };
    // Looked at after it was opened: the descriptor is of whatever process had the pid then.
    match stat(identity.pid) {
        Some(stat) if stat.start_time == identity.start_time && !stat.is_zombie => Ok(Some(descriptor)),
        _ => Ok(None),
    }
}

/// What `/proc/PID/stat` says of a process.
pub(crate) struct Stat {
    pub(crate) is_zombie: bool,
    pub(crate) start_time: u64,
}

/// Reads it; none if there is no such process.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// proc_pid_stat(5). Field 2 may hold anything, so fields are counted from its last parenthesis: what follows
/// begins with field 3.
fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat { is_zombie: matches!(*fields.first()?, "Z" | "X"), start_time: fields.get(19)?.parse().ok()? })
}

#[cfg(test)]
pub(crate) fn of(pid: i32) -> ProcessIdentity {
    ProcessIdentity { pid, start_time: stat(pid).unwrap().start_time, boot_id: boot_id().unwrap() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(open(&of(pid)).unwrap().is_some());
    }

    #[test]
    fn r12_a_pid_that_was_used_again_is_another_process() {
        let mut identity = of(i32::try_from(std::process::id()).unwrap());
        identity.start_time += 1;
        assert!(open(&identity).unwrap().is_none());
    }

    #[test]
    fn r12_an_identity_is_void_after_a_reboot() {
        let mut identity = of(i32::try_from(std::process::id()).unwrap());
        identity.boot_id = "another".to_owned();
        assert!(open(&identity).unwrap().is_none());
    }

    #[test]
    fn a_name_with_parentheses_is_no_obstacle() {
        let text = "7 (a) Z (b) S 1 7 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0";
        let stat = parse(text).unwrap();
        assert_eq!((stat.is_zombie, stat.start_time), (false, 4242));
    }
}
