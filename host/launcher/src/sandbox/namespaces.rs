//! Namespaces of a workload: in them it sees no other processes, all of its processes end with its init, and it cannot
//! change files that it was not given to write in any way.
//!
//! ```text
//! launcher:   enter(): a pid namespace for its children (in a user namespace, unless it may make one without)
//!     |-- init (pid 1, `init.rs`): set_up(): mounts, IPC and network; then reaps, and keeps them all alive
//!     '-- exec helper (pid 2): join()s init's; becomes the workload, and stays the launcher's own child
//! ```
//!
//! The launcher itself enters only the user namespace, in which it has the same user: pids that it knows are those of the
//! host. Called by the launcher, by init and by the exec helper; must not know what a job or a plugin is.
use crate::sandbox::namespace_spec::NamespaceSpec;
use crate::sandbox::namespace_spec::SetUpError;
use crate::sandbox::namespace_spec::is_alone;
use crate::sandbox::{loopback, mounts};
use rustix::{
    fs::Mode,
    io::{Errno, Result},
    process::{Pid, PidfdFlags, pidfd_open},
    thread::{
        CapabilitySet, ThreadNameSpaceType, capabilities, configure_capability_in_ambient_set,
        move_into_thread_name_spaces, set_capabilities,
    },
};
use std::{fs::OpenOptions, io::Write, os::fd::AsFd};
use wharf_sdk::launch::Network;

/// The capabilities that init and the exec helper need in the user namespace: to mount, to join, to switch on a network,
/// and to lock the rest.
const NEEDED: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::SETPCAP);

/// The namespaces of the launcher's children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    /// Whether there is a user namespace. Limits that count by user count only the processes in it.
    pub(crate) users: bool,
}

/// Makes a pid namespace for the children of this process. On an error there is none, and nothing has changed.
pub(crate) fn enter() -> Result<Entered> {
    // A process that may do this without a user namespace stays in its own: it keeps the privileges that it needs for its
    // own files.
    match unshare(Unshared::CLONE_NEWPID) {
        Ok(()) => return Ok(Entered { users: false }),
        Err(Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(Unshared::CLONE_NEWUSER | Unshared::CLONE_NEWPID)?;
    // Map uid and gid to themselves. An unprivileged process may write gid_map only after `deny` was written to setgroups
    // (user_namespaces(7)).
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("{user} {user} 1"))?;
    write("/proc/self/gid_map", &format!("{group} {group} 1"))?;
    // For the children: when an ordinary user executes a program, all capabilities are lost except the ambient ones.
    let mut sets = capabilities(None)?;
    sets.inheritable |= NEEDED;
    set_capabilities(None, sets)?;
    NEEDED.iter().try_for_each(|capability| configure_capability_in_ambient_set(capability, true))?;
    Ok(Entered { users: true })
}

/// In init: makes all namespaces except the pid namespace.
pub(crate) fn set_up(spec: &NamespaceSpec<'_>) -> std::result::Result<(), SetUpError> {
    let mut wanted = Unshared::CLONE_NEWNS | Unshared::CLONE_NEWIPC;
    if spec.own_network {
        wanted |= Unshared::CLONE_NEWNET;
    }
    unshare(wanted).map_err(|error| format!("namespaces cannot be made: {error}"))?;
    if !spec.forwarded_ports.is_empty() {
        loopback::begin().map_err(|error| format!("its network cannot begin: {error}"))?;
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    mounts::arrange(spec)
}

/// In the exec helper: joins the namespaces of init.
pub(crate) fn join(network: &Network) -> Result<()> {
    let mut spaces = ThreadNameSpaceType::MOUNT | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION;
    if is_alone(network) {
        spaces |= ThreadNameSpaceType::NETWORK;
    }
    let init = pidfd_open(Pid::INIT, PidfdFlags::empty())?;
    move_into_thread_name_spaces(init.as_fd(), spaces)
}

type Unshared = nix::sched::CloneFlags;

fn unshare(flags: Unshared) -> Result<()> {
    nix::sched::unshare(flags).map_err(|error| Errno::from_raw_os_error(error as i32))
}

fn write(path: &str, text: &str) -> Result<()> {
    let written =
        OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
