//! The launcher's children, among which is everything that the workload leaves behind (child subreaper, prctl(2)).
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use std::io;

/// Kills every child, and theirs as they are inherited, until none is left; all are reaped.
pub(super) fn kill_all() -> io::Result<()> {
    loop {
        for child in direct_children()? {
            // One that has just ended is reaped below.
            let _ = kill_process(child, Signal::KILL);
        }
        match wait(WaitOptions::empty()) {
            Ok(_) => {}
            Err(rustix::io::Errno::CHILD) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The processes whose parent this one is. Only a parent can reap, so their pids are not used again meanwhile.
fn direct_children() -> io::Result<Vec<Pid>> {
    let me = std::process::id();
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if parent(&stat) == Some(me)
            && let Some(pid) = Pid::from_raw(pid)
        {
            children.push(pid);
        }
    }
    Ok(children)
}

/// Field 4 of proc_pid_stat(5); field 2 may hold anything, parentheses and spaces included.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_does_not_hide_the_parent() {
        assert_eq!(parent("12 (a) S) (b) S 34 12 12 0"), Some(34));
    }
}
