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
use std::{
    fs,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};
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
    const PATIENCE: Duration = Duration::from_secs(1);
    let mine = getsid(None).ok();
    let is_adopted = |pid: &Pid| {
        let lives = ProcessStat::of(pid.as_raw_pid()).is_ok_and(|stat| !stat.is_dead());
        lives && getsid(Some(*pid)).is_ok_and(|session| Some(session) != mine)
    };
    for _ in 0..ROUNDS {
        reap_nested();
        let adopted: Vec<Pid> = own_children().into_iter().filter(is_adopted).collect();
        if adopted.is_empty() {
            return;
        }
        let held = adopted.into_iter().filter_map(|pid| {
            let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
            // Other threads reap children of their own, whose numbers are used again: what the descriptor holds is
            // looked at once more before it is killed (R12).
            if !(is_child(pid) && is_adopted(&pid)) {
                return None;
            }
            reach(Point::AdoptedKillBefore);
            let killed = pidfd_send_signal(&process, Signal::KILL);
            reach(Point::AdoptedKillAfter);
            killed.ok().map(|()| process)
        });
        await_ends(held.collect(), PATIENCE);
    }
}

/// Waits until all have ended, for this long; reaps in between, because some wait for others to be reaped.
fn await_ends(mut processes: Vec<OwnedFd>, patience: Duration) {
    let until = Instant::now() + patience;
    loop {
        reap_nested();
        let left = until.saturating_duration_since(Instant::now());
        let (Ok(left), false) = (Timespec::try_from(left), processes.is_empty() || left.is_zero()) else {
            return;
        };
        let mut polled: Vec<PollFd<'_>> =
            processes.iter().map(|process| PollFd::new(process, PollFlags::IN)).collect();
        let _ = poll(&mut polled, Some(&left));
        let mut have_ended = polled.iter().map(|it| !it.revents().is_empty()).collect::<Vec<_>>().into_iter();
        processes.retain(|_| !have_ended.next().unwrap_or(true));
    }
}

/// The init of a pid namespace does not end before everybody in it has been reaped, and that of a launcher that was
/// killed has become this process' business. Whoever is in no such namespace is somebody else's to reap: a plugin's.
fn reap_nested() {
    for pid in own_children() {
        let has_ended = ProcessStat::of(pid.as_raw_pid()).is_ok_and(|stat| stat.is_dead());
        if has_ended && is_nested(pid) {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// Whether it has a number of its own in a further pid namespace, proc_pid_status(5).
fn is_nested(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.is_some_and(|numbers| numbers.split_whitespace().count() > 1)
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
