//! Reaps and kills the launcher's children: its own, and all orphaned processes of the workload.
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, kill_process, wait},
};
use std::fs;
use wharf_failpoint::{Point, reach};
use wharf_sdk::{Exit, process_identity::ProcessStat};

/// The result of reaping.
#[derive(Debug, Default)]
pub(crate) struct Reaped {
    /// The exit of the workload's first process, if it was reaped.
    pub(crate) workload: Option<Exit>,
    /// True if no child is left.
    pub(crate) none_left: bool,
}

/// Reaps all children that have ended. Does not wait.
pub(crate) fn reap(workload: Pid, now_ms: u64) -> Reaped {
    let mut reaped = Reaped::default();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == workload => {
                reaped.workload = Some(Exit {
                    code: status.exit_status(),
                    signal: status.terminating_signal(),
                    at_ms: Some(now_ms),
                    ..Exit::default()
                });
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return reaped,
            // ECHILD: with these options there is no other error of waitpid(2).
            Err(_) => {
                reaped.none_left = true;
                return reaped;
            }
        }
    }
}

/// Kills every child that has not been reaped. Returns those that the launcher may not kill.
///
/// The pid of a child that has not been reaped is not used again, so each pid is of the child that was listed. When a child
/// dies, its own children become the launcher's; the `SIGCHLD` leads to the next call.
pub(crate) fn kill_all() -> Vec<Pid> {
    reach(Point::KillAllBefore);
    let not_permitted = own_children()
        .into_iter()
        .filter(|&pid| kill_process(pid, Signal::KILL) == Err(Errno::PERM))
        .collect();
    reach(Point::KillAllAfter);
    not_permitted
}

fn own_children() -> Vec<Pid> {
    let me = rustix::process::getpid().as_raw_pid();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .filter(|pid| ProcessStat::of(pid.as_raw_pid()).is_ok_and(|stat| stat.parent == me))
        .collect()
}
