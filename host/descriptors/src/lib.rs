//! Which descriptors are a process' own, what a careless ancestor left open, and how many there may be.
//!
//! [`close_inherited`] is called first thing by processes that stay: a descriptor that they inherited would hold somebody's lock or pipe for
//! their whole life, and reach the workload.
//!
//! A supervisor has as many descriptors as it may ([`raise_limit`]), of which connections never take the last ones
//! ([`for_connections`]): it needs some to bring its workload back. Its workload has the limit that it would have had
//! without that: the launcher is told, and goes back to it before it starts anything ([`restore_limit`]).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::OnceLock;

/// The lowest number that is none of the three that a program expects.
pub const FIRST_FREE_DESCRIPTOR: i32 = 3;

/// So many are kept for a supervisor's own work: control connections, a launcher with its pipes, records, an engine's
/// connections.
const RESERVE: u64 = 64;
/// So many connections are served however few descriptors there are.
const CONNECTIONS_MIN: u64 = 4;
/// How the launcher is told the limit that was inherited.
const LIMIT_PREFIX: &str = "--descriptors=";

/// The limit before it was raised.
static INHERITED: OnceLock<u64> = OnceLock::new();

/// Closes every descriptor but the first three. Nothing of this process' own may be open yet.
pub fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|&number| number >= FIRST_FREE_DESCRIPTOR) {
        // The folder's own is among them, and closed already.
        let _ = nix::unistd::close(number);
    }
}

/// Lets this process open as many descriptors as its user allows at most. Where it may not, it has what it had.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let Some(inherited) = limit.current.filter(|_| limit.current != limit.maximum) else { return };
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok() {
        let _ = INHERITED.set(inherited);
    }
}

/// What a launcher is to be told, if this process raised its limit.
pub fn launcher_argument() -> Option<String> {
    INHERITED.get().map(|limit| format!("{LIMIT_PREFIX}{limit}"))
}

/// The launcher's part: the limit is again what the supervisor had inherited.
pub fn restore_limit(argument: Option<&str>) {
    let told = argument.and_then(|argument| argument.strip_prefix(LIMIT_PREFIX)?.parse().ok());
    let Some(inherited) = told else { return };
    // Lowering it is always allowed.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(inherited), ..getrlimit(Resource::Nofile) });
}

/// How many connections may be open at a time, each of which takes so many descriptors: at most `wanted`, and so few that
/// the reserve stays free.
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
