//! [`memory_kills`] and [`OUT_OF_MEMORY`]: how a runtime on this machine finds out that the kernel has killed a workload for want of
//! memory, and the words for that.

/// The reason of an end for want of memory, [`crate::Exit::reason`], in the words of all runtimes.
pub const OUT_OF_MEMORY: &str = "out of memory";

/// The kernel's count of processes of a control group that it has killed for want of memory: in the text of `memory.events`
/// (version 2) or of `memory.oom_control` (version 1). The file goes with its group, so it is read before the group is removed.
#[must_use]
pub fn memory_kills(text: &str) -> u64 {
    let count = |line: &str| line.strip_prefix("oom_kill ")?.trim().parse().ok();
    text.lines().find_map(count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::memory_kills;

    #[test]
    fn a_count_is_a_line_of_its_own() {
        assert_eq!(memory_kills("oom 3\noom_kill 2\n"), 2);
        assert_eq!(memory_kills("oom_kill_disable 1\nunder_oom 1\n"), 0);
        assert_eq!(memory_kills("oom_kill x\n"), 0);
    }
}
