//! Follows a name from the root, one link after the other, for callers that must look at each link on the way.
use std::{
    ffi::OsString,
    fs, io,
    path::{Component, Path, PathBuf},
};

/// As many links as the kernel follows in one path, path_resolution(7).
const MAX_LINKS: usize = 40;

/// Resolves an absolute name to a path without links. None: more links lead on from it than the kernel follows.
///
/// `link` is called for every entry on the way, with the entry's folder already free of links, and returns the path that
/// the entry holds, or none if it is no link. [`target`] only reads the link; a caller may also inspect the entry, remember
/// it, or refuse it.
///
/// # Errors
/// Those of `link`.
pub fn follow<E>(
    name: &Path,
    mut link: impl FnMut(&Path) -> Result<Option<PathBuf>, E>,
) -> Result<Option<PathBuf>, E> {
    // `here` never has a link in it, so `..` simply removes its last part.
    let mut here = PathBuf::from("/");
    let mut ahead = parts(name);
    let mut followed = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            here.pop();
            continue;
        }
        here.push(part);
        let Some(target) = link(&here)? else { continue };
        followed += 1;
        if followed > MAX_LINKS {
            return Ok(None);
        }
        here.pop();
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        ahead.extend(parts(&target));
    }
    Ok(Some(here))
}

/// The path that an entry holds if it is a link. None: it is no link.
///
/// # Errors
/// There is no such entry, or it cannot be reached.
pub fn target(entry: &Path) -> io::Result<Option<PathBuf>> {
    match fs::read_link(entry) {
        Ok(target) => Ok(Some(target)),
        // readlink(2) fails with EINVAL where the entry is no link.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error),
    }
}

/// The parts of a path, the last one first. `..` is kept: where it leads depends on links.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.map(|part| part.as_os_str().to_owned()).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_one_by_one_and_a_step_up_is_one_from_where_they_led() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        fs::create_dir_all(folder.join("a/b")).unwrap();
        symlink("../a", folder.join("a/up")).unwrap();
        symlink(folder.join("a/up/b"), folder.join("link")).unwrap();
        symlink("self", folder.join("self")).unwrap();
        assert_eq!(follow(&folder.join("link/.."), target).unwrap(), Some(folder.join("a")));
        assert_eq!(follow(&folder.join("self"), target).unwrap(), None, "a circle");
        let missing = follow(&folder.join("none/further"), target).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let mut asked = Vec::new();
        let refused = follow(&folder.join("a/up/b"), |entry| {
            asked.push(entry.to_owned());
            if entry.ends_with("up") { Err(()) } else { target(entry).map_err(drop) }
        });
        assert_eq!(refused, Err(()));
        assert_eq!(asked.last(), Some(&folder.join("a/up")), "nothing is asked beyond what was refused");
    }
}
