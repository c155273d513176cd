//! A limit of processes for a workload where no control group can count them.
//!
//! In a user namespace, a limit of setrlimit(2) counts only the processes in it, and not all processes of the user.
use rustix::{
    io,
    process::{Resource, Rlimit, geteuid, getrlimit, setrlimit},
};

/// The launcher, init and the relay are in the user namespace, too.
const NOT_THE_WORKLOADS: u64 = 3;
/// The thread on which init serves the port forward.
const PORT_FORWARD_THREADS: u64 = 1;
/// The first kernel that counts in each user namespace separately. An older one accepts the call too, so the version must
/// be looked at.
const COUNTED_SINCE: (u32, u32) = (5, 14);

/// Whether such a limit holds. Not for root, who gets no user namespace and is exempt from the limit.
pub(crate) fn are_counted() -> bool {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    !geteuid().is_root() && version >= COUNTED_SINCE
}

/// Limits this process and its descendants to this number.
pub(crate) fn limit(count: u64, has_port_forward: bool) -> io::Result<()> {
    let others = if has_port_forward { NOT_THE_WORKLOADS + PORT_FORWARD_THREADS } else { NOT_THE_WORKLOADS };
    let wanted = count.saturating_add(others);
    let wanted = getrlimit(Resource::Nproc).maximum.map_or(wanted, |most| most.min(wanted));
    setrlimit(Resource::Nproc, Rlimit { current: Some(wanted), maximum: Some(wanted) })
}
