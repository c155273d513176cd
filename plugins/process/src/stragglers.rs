//! What is left of a workload whose launcher is gone: killed from outside, it could not clear up.
use crate::identity::{self, stat};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use wharf_sdk::Result;
use wharf_sdk::launch::{ProcessIdentity, UID_VARIABLE};

/// How often the table of processes is read again: what is killed may just have started another one.
const ROUNDS: u32 = 50;

/// Kills every process that carries the workload's uid in its environment. Its own processes inherit that, and no
/// other process has it: the uid is random (R12).
pub(crate) fn kill(uid: &str, workload: &ProcessIdentity) -> Result<()> {
    if workload.boot_id != identity::boot_id()? {
        return Ok(());
    }
    for _ in 0..ROUNDS {
        let found = find(uid);
        if found.is_empty() {
            return Ok(());
        }
        for pid in found {
            kill_verified(pid, uid);
        }
    }
    tracing::warn!(uid, "processes of a workload go on starting others");
    Ok(())
}

fn find(uid: &str) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| carries(*pid, uid))
        .collect()
}

fn carries(pid: i32, uid: &str) -> bool {
    let wanted = format!("{UID_VARIABLE}={uid}");
    let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
        && stat(pid).is_some_and(|stat| !stat.is_zombie)
}

/// The process is looked at again once the descriptor is open, so that the signal meets no other one.
fn kill_verified(pid: i32, uid: &str) {
    let Some(raw) = Pid::from_raw(pid) else { return };
    let Ok(descriptor) = pidfd_open(raw, PidfdFlags::empty()) else { return };
    if carries(pid, uid) {
        let _ = pidfd_send_signal(&descriptor, Signal::KILL);
    }
}
