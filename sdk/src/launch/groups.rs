//! A workload's control groups, and what it may have made below them.
use std::{
    fs,
    path::{Path, PathBuf},
};

/// So many are looked at; a kernel that lets anybody make more has other troubles.
const MAX_GROUPS: usize = 10_000;

/// A control group and all below it, the lowest first: a group can be removed when none is below it. A workload that may
/// write to its group can make such. Empty where there is no group.
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
    fn what_is_below_comes_first_and_links_are_no_groups() {
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
