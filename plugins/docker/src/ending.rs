//! The end of a container, told by its engine, or by the kernel where its first process can be seen from here.
//!
//! Docker knows when a container ends. Podman, asked to wait for one, looks at all of it again and again, several times a
//! second: waiting for fifty keeps two processors busy, and a listing then takes longer than anybody waits. So Podman is
//! asked for an end only once there is one.
use crate::{
    engine::{Engine, Flavor},
    error::{operation, unreachable},
};
use bollard::{errors::Error as EngineError, query_parameters::WaitContainerOptionsBuilder};
use futures_util::{FutureExt, StreamExt};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::{fs, io, os::fd::OwnedFd, pin::pin};
use tokio::io::{Interest, unix::AsyncFd};
use wharf_sdk::{Error, Result};

/// Returns the code with which a container ends, once it has. `pid` is the number of its first process, as the engine
/// counts; `is_attached` is one whose stdin is held open through the engine.
///
/// # Errors
/// `Unavailable`, too, if the engine of one that is attached went away meanwhile, though another may be there by now: to a
/// server the end of its stdin is the end of its work, so its code says nothing then.
pub(crate) async fn of(engine: &Engine, container: &str, pid: Option<i32>, is_attached: bool) -> Result<i64> {
    let Some(pid) = pid.filter(|_| engine.flavor == Flavor::Podman) else {
        return code(engine, container).await;
    };
    if !is_attached {
        of_process(container, pid).await;
        return code(engine, container).await;
    }
    let gone = |error| Err(unreachable(engine.flavor, &engine.socket, &error));
    let mut absence = pin!(engine.absence(container).fuse());
    tokio::select! {
        biased;
        error = &mut absence => match error.kind() {
            // It does not tell what happens, so it must wait itself.
            io::ErrorKind::InvalidData => {}
            _ => return gone(error),
        },
        () = of_process(container, pid) => {}
    }
    let code = code(engine, container).await?;
    // What went before the end is known by now: there was an answer since.
    absence.now_or_never().map_or(Ok(code), gone)
}

/// The same in the engine's own words.
async fn code(engine: &Engine, container: &str) -> Result<i64> {
    let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
    let mut ended = pin!(engine.client.wait_container(container, Some(options)));
    match ended.next().await {
        Some(Ok(answer)) => Ok(answer.status_code),
        // bollard takes every code but 0 for an error of its own.
        Some(Err(EngineError::DockerContainerWaitError { code, .. })) => Ok(code),
        Some(Err(error)) => Err(operation("the container cannot be waited for", &error)),
        None => Err(Error::unavailable("the engine ended the wait without an answer")),
    }
}

/// Returns when a container's first process, by its number on this machine, has ended; at once if that is not proven to
/// be one of this container: the engine may be on another machine, and count otherwise.
async fn of_process(container: &str, pid: i32) {
    let Some(process) = open(container, pid) else { return };
    if let Ok(process) = readable(process) {
        drop(process.readable().await);
    }
}

/// Registers a descriptor with the reactor, for reading.
#[expect(
    deprecated,
    reason = "its replacement is unsafe, for types whose descriptor may change or close under the reactor; an OwnedFd \
              keeps its descriptor until it is dropped"
)]
fn readable(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(process, Interest::READABLE)
}

fn open(container: &str, pid: i32) -> Option<OwnedFd> {
    let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    // Looked at once there is a descriptor: a process that has the number by now is not the one that is watched.
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    is_in(&groups, container).then_some(process)
}

/// Whether a process is in a control group that is named after a container, or below one.
fn is_in(groups: &str, container: &str) -> bool {
    const ID_LENGTH: usize = 64;
    container.len() == ID_LENGTH && groups.contains(container)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_control_group_with_the_whole_id_is_a_containers() {
        let id = "e1198522bb2e7c62bc0a1298bbbb1a8256bfad2b2466318c42f24837cb1139ce";
        assert!(is_in(&format!("8:pids:/libpod_parent/libpod-{id}\n"), id));
        assert!(is_in(&format!("0::/machine.slice/libpod-{id}.scope/container\n"), id));
        assert!(!is_in("0::/user.slice\n", id));
        assert!(!is_in("0::/user.slice\n", ""));
        assert!(!is_in("0::/libpod-e119\n", "e119"), "that is no whole id");
    }

    #[tokio::test]
    async fn what_is_not_the_containers_is_not_waited_for() {
        // This very process, which goes on.
        let own = i32::try_from(std::process::id()).unwrap();
        let nobodys = "0".repeat(64);
        for pid in [own, 0] {
            let waiting = of_process(&nobodys, pid);
            tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.unwrap();
        }
    }
}
