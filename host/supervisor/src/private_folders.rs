//! Refuses mounts of the host's own folders: secrets, records, files of plugins.
//!
//! This check is made for every runtime: a plugin may check fewer folders, or not recognise another path of the same one. What
//! merely holds one of them goes to a runtime that opens folders in parts ([`wharf_sdk::Capability::MOUNT_PARTS`]).
use std::path::{Component, Path, PathBuf};
use wharf_model::{Error, ErrorKind, Result};

/// Fails if a mount (`HOST:WORKLOAD...`) would give the workload one of these folders, something in one, or, unless it is
/// opened `in_parts`, a folder that holds one; by whatever name, also through links, and also if it does not exist yet.
pub(crate) fn refuse_mounts(private: &[PathBuf], mounts: &[String], in_parts: bool) -> Result<()> {
    if mounts.is_empty() {
        return Ok(());
    }
    let private: Vec<PathBuf> = private.iter().map(|folder| real(folder)).collect();
    for mount in mounts {
        let source = mount.split(':').next().unwrap_or_default();
        // A bare word is the name of a volume, not a path.
        if !source.contains('/') && !source.starts_with('.') {
            continue;
        }
        let path = real(Path::new(source));
        let holds = |private: &PathBuf| private.starts_with(&path) && !in_parts;
        if private.iter().any(|private| path.starts_with(private) || holds(private)) {
            let message = format!("'{source}' holds files of wharf's own, which no workload may have");
            return Err(Error::new(ErrorKind::Usage, message).hint("name folders beside them"));
        }
    }
    Ok(())
}

/// Resolves a path as far as it exists; the rest is taken by its name.
fn real(path: &Path) -> PathBuf {
    /// The kernel follows as many links; a path with more leads nowhere.
    const MAX_LINKS: u32 = 40;
    resolved(path, &mut { MAX_LINKS })
}

fn resolved(path: &Path, links: &mut u32) -> PathBuf {
    let mut real = PathBuf::from("/");
    for component in path.components() {
        match component {
            // Links in `real` are resolved by now, so its parent is simply the part before.
            Component::ParentDir => drop(real.pop()),
            Component::Normal(name) => {
                real.push(name);
                if let Ok(found) = real.canonicalize() {
                    real = found;
                } else if let Ok(target) = real.read_link()
                    && let Some(left) = links.checked_sub(1)
                {
                    *links = left;
                    // A link whose target does not exist yet: its target is resolved.
                    real.pop();
                    real = resolved(&real.join(target), links);
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    real
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_private_folder_is_refused_by_each_of_its_names() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        std::fs::create_dir_all(at("home/.config/wharf/secrets")).unwrap();
        std::fs::create_dir_all(at("home/project")).unwrap();
        symlink(at("home/.config"), at("home/project/link")).unwrap();
        symlink("../.config/wharf/secrets/token", at("home/project/token")).unwrap();
        symlink(at("home/.local/share"), at("home/project/later")).unwrap();
        let private = [at("home/.config/wharf"), at("home/.local/share/wharf")];
        let refused = |source: &str| {
            let mount = format!("{}:/x:ro", at(source).display());
            let refused = |in_parts| refuse_mounts(&private, std::slice::from_ref(&mount), in_parts);
            [false, true].map(|in_parts| refused(in_parts).err().map(|error| error.kind))
        };
        for source in [
            "home/.config/wharf",
            "home/.config/wharf/secrets",
            "home/.config/wharf/secrets/token",
            "home/project/../.config/./wharf",
            "home/project/link/wharf/secrets",
            "home/project/token",
            // A path that does not exist yet.
            "home/.local/share/wharf/runtimes",
            "home/project/later/wharf",
        ] {
            assert_eq!(refused(source), [Some(ErrorKind::Usage); 2], "{source}");
        }
        for source in ["home/.config", "home", "home/project/link", "home/.local", "home/project/later"] {
            assert_eq!(refused(source), [Some(ErrorKind::Usage), None], "{source}");
        }
        for source in ["home/project", "home/project/data", "home/.config/other", "home/.config/wharf-2"] {
            assert_eq!(refused(source), [None; 2], "{source}");
        }
        assert!(refuse_mounts(&private, &["/:/host".to_owned()], false).is_err());
    }

    #[test]
    fn links_in_a_circle_end() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        let mount = format!("{}:/x", root.path().join("a").display());
        let _ = refuse_mounts(&[root.path().join("private")], &[mount], false);
    }
}
