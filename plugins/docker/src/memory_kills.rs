//! [`MemoryKills`]: the kernel's count of processes that it killed in a container's control group for want of memory.
//!
//! Asked by the wait for a container's end, where the container's first process is visible here. Situation: Podman 4 with
//! runc does not note such a kill; it shows code 137, as after any SIGKILL. Conclusion: the count is read as soon as that
//! process has ended, before the engine removes the control group, which a program does that it starts for that.
use std::{
    fs,
    path::{Component, Path, PathBuf},
};
use wharf_sdk::{Exit, OUT_OF_MEMORY, memory_kills};

/// Where control groups are shown.
const GROUPS: &str = "/sys/fs/cgroup";

/// The file with the count.
#[derive(Debug)]
pub(crate) struct MemoryKills(PathBuf);

impl MemoryKills {
    /// Of the control group of a process, by its `/proc/PID/cgroup`; none if the kernel shows no count of it here.
    pub(crate) fn of(groups: &str) -> Option<Self> {
        Self::below(Path::new(GROUPS), groups)
    }

    fn below(root: &Path, groups: &str) -> Option<Self> {
        let files = groups.lines().filter_map(|line| {
            let (number, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let group = Path::new(path.trim_start_matches('/'));
            // A group outside of those that are shown here begins with `..`.
            group.components().all(|part| matches!(part, Component::Normal(_))).then_some(())?;
            if controllers.split(',').any(|controller| controller == "memory") {
                return Some(vec![root.join("memory").join(group).join("memory.oom_control")]);
            }
            (number == "0").then(|| {
                let of = |root: &Path| root.join(group).join("memory.events");
                vec![of(root), of(&root.join("unified"))]
            })
        });
        files.flatten().find(|file| file.is_file()).map(Self)
    }

    /// Whether there was one. False, too, if the control group is gone.
    pub(crate) fn any(&self) -> bool {
        fs::read_to_string(&self.0).is_ok_and(|text| memory_kills(&text) > 0)
    }
}

/// The end of a container in which the kernel has killed for want of memory: where its code is that of a kill, and its engine
/// names no reason, this is the reason.
pub(crate) fn explained(exit: Exit) -> Exit {
    /// 128 and the number of SIGKILL.
    const KILLED: i32 = 137;
    let is_unexplained = exit.code == Some(KILLED) && exit.reason.is_empty();
    if is_unexplained { Exit { reason: OUT_OF_MEMORY.to_owned(), ..exit } } else { exit }
}

#[cfg(test)]
mod tests {
    use super::{MemoryKills, OUT_OF_MEMORY, explained};
    use std::fs;
    use wharf_sdk::Exit;

    #[expect(clippy::disallowed_methods, reason = "files of a test, not records")]
    #[test]
    fn the_count_is_found_with_either_version_of_control_groups() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write(
            "memory/libpod_parent/libpod-1/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
        );
        write("machine.slice/libpod-2.scope/memory.events", "low 0\noom 1\noom_kill 1\noom_group_kill 0\n");
        write("machine.slice/libpod-3.scope/memory.events", "low 0\noom 7\noom_kill 0\noom_group_kill 0\n");
        let kills = |groups: &str| MemoryKills::below(root.path(), groups).map(|kills| kills.any());
        assert_eq!(kills("8:pids:/x\n4:memory:/libpod_parent/libpod-1\n0::/\n"), Some(true));
        assert_eq!(kills("0::/machine.slice/libpod-2.scope\n"), Some(true));
        assert_eq!(kills("0::/machine.slice/libpod-3.scope\n"), Some(false));
        for groups in ["0::/elsewhere\n", "0::/../machine.slice/libpod-2.scope\n", "", "nonsense\n"] {
            assert_eq!(kills(groups), None, "{groups:?}");
        }
        let known = MemoryKills::below(root.path(), "0::/machine.slice/libpod-2.scope\n").unwrap();
        fs::remove_dir_all(root.path().join("machine.slice")).unwrap();
        assert!(!known.any(), "it came too late");
    }

    #[test]
    fn a_kill_without_a_reason_is_explained_and_no_other_end() {
        let told = |code, reason: &str| {
            explained(Exit { code: Some(code), reason: reason.to_owned(), ..Exit::default() }).reason
        };
        assert_eq!(told(137, ""), OUT_OF_MEMORY);
        assert_eq!(told(137, "its runtime's words"), "its runtime's words");
        assert_eq!(told(0, ""), "", "a child was killed, and the server went on");
    }
}
