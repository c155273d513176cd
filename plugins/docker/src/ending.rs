//! The end of a container, told by the kernel where its first process can be seen from here.
//!
//! Docker knows when a container ends. Podman, asked to wait for one, looks at all of it again and again, several times a
//! second: waiting for fifty keeps two processors busy, and a listing then takes longer than anybody waits. So Podman is
//! asked for the end of a server with a port once there is one.
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::{fs, io, os::fd::OwnedFd};
use tokio::io::{Interest, unix::AsyncFd};

/// Returns when a container's first process, by its number on this machine, has ended; at once if that is not proven to
/// be one of this container: the engine may be on another machine, and count otherwise.
pub(crate) async fn of(container: &str, pid: i32) {
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
            let waiting = of(&nobodys, pid);
            tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.unwrap();
        }
    }
}
