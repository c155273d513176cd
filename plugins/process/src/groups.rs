//! Finds the control groups of a workload by their name.
//!
//! The launcher makes them and removes them (`cgroup_name`); this module finds those that a killed launcher has left,
//! whether they were recorded or not. Must not know what they limit.
use std::{
    fs,
    path::{Path, PathBuf},
};
use wharf_sdk::launch::{cgroup_name, groups_within};

/// The groups of this uid wherever a launcher of this process would make them, with all groups below them, the lowest
/// first.
pub(crate) fn of(uid: &str) -> Vec<PathBuf> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let name = cgroup_name(uid);
    let candidates = parents(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
    candidates.into_iter().flat_map(|parent| groups_within(&parent.join(&name))).collect()
}

/// The pids in a group; empty where there is no group.
pub(crate) fn members(folder: &Path) -> Vec<i32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|pid| pid.parse().ok()).filter(|&pid| pid != 0).collect()
}

/// Every folder from this process's own groups up to the mount points, from the texts of proc(5) and cgroups(7).
fn parents(mounts: &str, memberships: &str) -> Vec<PathBuf> {
    let own: Vec<&str> = memberships.lines().filter_map(|line| line.splitn(3, ':').nth(2)).collect();
    let mut found = Vec::new();
    for line in mounts.lines() {
        let Some((place, kind)) = line.split_once(" - ") else { continue };
        if !kind.starts_with("cgroup ") && !kind.starts_with("cgroup2 ") {
            continue;
        }
        let mut place = place.split(' ').skip(3);
        let (Some(root), Some(mount)) = (place.next(), place.next().map(Path::new)) else { continue };
        for path in &own {
            let below = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
            let folder = mount.join(below);
            found.extend(folder.ancestors().take_while(|it| it.starts_with(mount)).map(Path::to_owned));
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_lies_beside_or_above_this_process() {
        let mounts = "31 30 0:27 / /g/pids rw - cgroup cgroup rw,pids\n32 30 0:28 / /g/u rw - cgroup2 none rw\n\
                      33 1 0:1 / / rw - ext4 /dev/x rw\n";
        let found = parents(mounts, "4:pids:/a\n0::/a/b\n");
        for expected in ["/g/pids", "/g/pids/a", "/g/u", "/g/u/a", "/g/u/a/b"] {
            assert!(found.contains(&PathBuf::from(expected)), "{found:?}");
        }
        assert!(!found.contains(&PathBuf::from("/")));
    }
}
