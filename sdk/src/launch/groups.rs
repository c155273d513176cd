//! Finds a workload's control group and those that the workload may have made below it. The launcher and the process
//! runtime use it to end and to remove them.
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The search stops after this many groups: a kernel that lets a workload make more is beyond help here.
const MAX_GROUPS: usize = 10_000;

/// A control group and all below it, the lowest first, since a group can be removed only when none is below it. A workload
/// that may write to its group can make groups below it. Empty where there is no group.
pub fn groups_within(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = folder.is_dir().then(|| folder.to_owned()).into_iter().collect();
    let mut looked_into = 0;
    while let Some(folder) = found.get(looked_into).cloned() {
        looked_into += 1;
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let room = MAX_GROUPS.saturating_sub(found.len());
        found.extend(folders.map(|entry| entry.path()).take(room));
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_groups_are_found_deepest_first_without_links() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().join("top");
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::create_dir_all(top.join("c")).unwrap();
        std::os::unix::fs::symlink(place.path(), top.join("link")).unwrap();
        let found = groups_within(&top);
        assert_eq!(found.len(), 4);
        for (at, folder) in found.iter().enumerate() {
            assert!(found[..at].iter().all(|earlier| !folder.starts_with(earlier)), "{found:?}");
        }
        assert_eq!(groups_within(&top.join("none")), Vec::<PathBuf>::new());
    }
}
