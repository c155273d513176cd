//! The launcher's children: its own, and every orphan that the workload leaves.
use crate::failpoint::{Point, reach};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getsid, kill_process, pidfd_open, pidfd_send_signal, wait,
        waitpid,
    },
};
use std::fs;
use wharf_sdk::{Exit, launch::ProcessStat};

/// What reaping found.
#[derive(Debug, Default)]
pub(super) struct Reaped {
    /// How the workload's first process ended, if it was among them.
    pub(super) workload: Option<Exit>,
    /// No child is left.
    pub(super) none_left: bool,
}

/// Reaps all that have ended. Waits for nothing.
pub(super) fn reap(workload: Pid, now_ms: u64) -> Reaped {
    let mut reaped = Reaped::default();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == workload => {
                reaped.workload = Some(Exit {
                    code: status.exit_status(),
                    signal: status.terminating_signal(),
                    at_ms: Some(now_ms),
                    reason: String::new(),
                });
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return reaped,
            Err(_) => {
                reaped.none_left = true;
                return reaped;
            }
        }
    }
}

/// Kills every child that has not been reaped. Returns those that may not be killed.
///
/// The pid of a child that has not been reaped is not used again, so each is what it is taken for. Their own children
/// become ours when they die, and `SIGCHLD` calls again.
pub(super) fn kill_all() -> Vec<Pid> {
    reach(Point::KillAllBefore);
    let not_permitted = own_children()
        .into_iter()
        .filter(|&pid| kill_process(pid, Signal::KILL) == Err(Errno::PERM))
        .collect();
    reach(Point::KillAllAfter);
    not_permitted
}

/// Ends what a launcher that was killed from outside has left to its own parent, a supervisor: processes that came
/// back to this one (it is a child subreaper) and are of another session than it and what its plugin may run.
///
/// Waits until they have ended, for a bounded time; to be called where blocking is allowed.
pub(crate) fn end_adopted() {
    /// What is killed may just have started another one.
    const ROUNDS: u32 = 20;
    /// How long one may take to end; what is stuck in the kernel is left.
    const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
    let mine = getsid(None).ok();
    let is_adopted = |pid: &Pid| {
        let lives = ProcessStat::of(pid.as_raw_pid()).is_ok_and(|stat| !stat.is_dead());
        lives && getsid(Some(*pid)).is_ok_and(|session| Some(session) != mine)
    };
    for _ in 0..ROUNDS {
        reap_adopted(mine);
        let adopted: Vec<Pid> = own_children().into_iter().filter(is_adopted).collect();
        if adopted.is_empty() {
            return;
        }
        for pid in adopted {
            let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            // Other threads reap children of their own, whose numbers are used again: what the descriptor holds is
            // looked at once more before it is killed (R12).
            if !(is_child(pid) && is_adopted(&pid)) {
                continue;
            }
            reach(Point::AdoptedKillBefore);
            let killed = pidfd_send_signal(&process, Signal::KILL);
            reach(Point::AdoptedKillAfter);
            if killed.is_ok() {
                let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&PATIENCE));
            }
        }
    }
}

/// The init of a pid namespace does not end before everybody in it has been reaped, and that of a launcher that was
/// killed has become this process' business.
fn reap_adopted(mine: Option<Pid>) {
    for pid in own_children() {
        let has_ended = ProcessStat::of(pid.as_raw_pid()).is_ok_and(|stat| stat.is_dead());
        if has_ended && getsid(Some(pid)).is_ok_and(|session| Some(session) != mine) {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

fn is_child(pid: Pid) -> bool {
    let me = rustix::process::getpid().as_raw_pid();
    ProcessStat::of(pid.as_raw_pid()).is_ok_and(|stat| stat.parent == me)
}

fn own_children() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .filter(|&pid| is_child(pid))
        .collect()
}
