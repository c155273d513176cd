//! Finds and kills the stragglers of a workload: processes that outlived their launcher.
//!
//! A launcher that ends leaves none. If it is killed, the workload's first process dies with it, but processes that this
//! one started live on. A launcher whose supervisor died before the launcher was on record lives on for a moment, too.
//! Stragglers are recognised by the two variables that each of them inherited, read from `/proc/PID/environ`, or by a
//! control group of the workload. A process that has cleared its environment, on a machine without groups and namespaces,
//! cannot be proven to be ours, and is left alone.
use crate::groups;
use std::{collections::BTreeSet, fs, io, io::Read, path::PathBuf, time::Duration};
use wharf_sdk::{
    Error, Result,
    launch::{HOST_VARIABLE, UID_VARIABLE},
    pidfd::{Process, Signal},
};

/// A process may have started others before it was killed. Each round finds those, and the search ends with a round that
/// finds none.
const MAX_ROUNDS: usize = 100;
/// How long the processes killed in one round may take to die.
const ROUND_TIMEOUT: Duration = Duration::from_secs(5);
/// The length of an environment that is searched. The kernel allows 6 MiB for arguments and environment by default.
const MAX_ENVIRON_BYTES: u64 = 8 * 1024 * 1024;
/// Room for most environments: every process's is read, with one call where it fits.
const USUAL_ENVIRON_BYTES: usize = 32 * 1024;

/// Kills all processes that carry this uid and this host's id, or are in the uid's groups, and waits until they are gone.
pub(crate) async fn kill(uid: &str, host_id: &str) -> Result<()> {
    for _ in 0..MAX_ROUNDS {
        let marks =
            [format!("{UID_VARIABLE}={uid}").into_bytes(), format!("{HOST_VARIABLE}={host_id}").into_bytes()];
        let folders = groups::of(uid);
        let found = tokio::task::spawn_blocking(move || find(&marks, &folders))
            .await
            .map_err(|error| Error::internal(format!("the search for processes failed: {error}")))?
            .map_err(|error| Error::io("processes cannot be searched", &error))?;
        if found.is_empty() {
            return Ok(());
        }
        for process in &found {
            tracing::info!(pid = process.pid(), uid, "killing a process that its workload left behind");
            process.signal(Signal::KILL).map_err(|error| {
                Error::io(&format!("process {} of the workload cannot be killed", process.pid()), &error)
            })?;
        }
        let all = async {
            for process in found {
                let _ = process.ended().await;
            }
        };
        if tokio::time::timeout(ROUND_TIMEOUT, all).await.is_err() {
            return Err(Error::unavailable("processes of the workload were killed and do not die"));
        }
    }
    Err(Error::unavailable("the workload starts processes faster than they can be killed"))
}

fn find(marks: &[Vec<u8>; 2], folders: &[PathBuf]) -> io::Result<Vec<Process>> {
    let me = std::process::id().cast_signed();
    let members = || folders.iter().flat_map(|folder| groups::members(folder));
    // A process that joins them later was started by one of these, which the next round follows.
    let at_first: BTreeSet<i32> = members().collect();
    let mut found = Vec::new();
    let mut environ = Vec::with_capacity(USUAL_ENVIRON_BYTES);
    let mut carries = |pid: i32| carries(pid, marks, &mut environ);
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // This process may have been started from within the workload; it does not belong to it.
        if pid == me || !(at_first.contains(&pid) || carries(pid)) {
            continue;
        }
        // The marks are read once more after the descriptor was opened. Either they are those of the process that it holds,
        // or that process is dead and no signal reaches anyone.
        if let Some(process) = Process::open(pid)?
            && (carries(pid) || members().any(|member| member == pid))
        {
            found.push(process);
        }
    }
    Ok(found)
}

/// Whether a process's environment has both marks. That of another user's process cannot be read; such a process is not
/// ours. `environ` is room for it.
fn carries(pid: i32, marks: &[Vec<u8>; 2], environ: &mut Vec<u8>) -> bool {
    environ.clear();
    let read = fs::File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(MAX_ENVIRON_BYTES).read_to_end(environ));
    read.is_ok() && marks.iter().all(|mark| environ.split(|&byte| byte == 0).any(|variable| variable == mark))
}
