//! The descriptors of a process: closing those that it inherited by accident, and the limit on their number.
//!
//! Called by the supervisor, the launcher and the process that tries a plugin. A process that stays calls
//! [`close_inherited`] first thing: a descriptor that it inherited by accident would hold another program's lock or pipe
//! for its whole life, and reach the workload.
//!
//! A supervisor raises its limit as far as it may ([`raise_limit`]), and never lets connections of clients take the last
//! descriptors ([`for_connections`]): it needs some to bring its workload back. Its workload shall have the limit of
//! before: the supervisor passes that limit to the launcher, which goes back to it before it starts anything
//! ([`restore_limit`]).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::OnceLock;

/// The lowest number after stdin, stdout and stderr.
pub const FIRST_FREE_DESCRIPTOR: i32 = 3;

/// The number of descriptors that are kept for a supervisor's own work: control connections, a launcher with its pipes,
/// records, an engine's connections.
const RESERVE: u64 = 64;
/// The number of connections that are served even if there are hardly any descriptors.
const CONNECTIONS_MIN: u64 = 4;
/// The option that passes the inherited limit to the launcher.
const LIMIT_PREFIX: &str = "--descriptors=";

/// The limit before it was raised.
static INHERITED: OnceLock<u64> = OnceLock::new();

/// Closes every descriptor but the first three. Nothing of this process' own may be open yet.
pub fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|&number| number >= FIRST_FREE_DESCRIPTOR) {
        // One of the numbers is that of `read_dir` itself, which is closed already; that error is ignored.
        let _ = nix::unistd::close(number);
    }
}

/// Raises the limit of open descriptors to the highest that its user may have. If that fails, the limit stays.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let Some(inherited) = limit.current.filter(|_| limit.current != limit.maximum) else { return };
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok() {
        let _ = INHERITED.set(inherited);
    }
}

/// The launcher's option with the inherited limit, if this process raised its own.
pub fn launcher_argument() -> Option<String> {
    INHERITED.get().map(|limit| format!("{LIMIT_PREFIX}{limit}"))
}

/// In the launcher: sets the limit that the supervisor had inherited.
pub fn restore_limit(argument: Option<&str>) {
    let told = argument.and_then(|argument| argument.strip_prefix(LIMIT_PREFIX)?.parse().ok());
    let Some(inherited) = told else { return };
    // Lowering a limit is always allowed.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(inherited), ..getrlimit(Resource::Nofile) });
}

/// How many connections may be open at a time if each takes `each` descriptors: at most `wanted`, and fewer if the reserve
/// would not stay free.
pub fn for_connections(wanted: usize, each: u64) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return wanted };
    let open = std::fs::read_dir("/proc/self/fd").map_or(RESERVE, |entries| entries.count() as u64);
    usize::try_from(room(limit, open, each)).map_or(wanted, |room| room.min(wanted))
}

fn room(limit: u64, open: u64, each: u64) -> u64 {
    (limit.saturating_sub(open + RESERVE) / each).max(CONNECTIONS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_reserve_alone() {
        for (limit, open, each, expected) in
            [(1024, 24, 1, 936), (1024, 24, 2, 468), (100, 30, 1, 6), (64, 30, 1, CONNECTIONS_MIN)]
        {
            assert_eq!(room(limit, open, each), expected, "{limit} {open} {each}");
        }
        assert_eq!(for_connections(1, 1), 1);
    }
}
