//! Decides whether a file may be loaded into this process: only its user and root can have written it.
//!
//! Like sshd's StrictModes, it checks every folder on the way, since a user who can rename a folder can replace everything
//! in it; the error names the folder at fault. The way is walked link by link: a user who can replace a link, or a folder
//! that a link lies in, decides where the rest of the way leads. A sticky folder of root's (`/tmp`) protects files of other
//! users in it, and only the owner of a link in it can change that link.
use crate::error::TrustError;
use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use wharf_sdk::files::{self, Links};

/// Opens and checks a library. The returned file is the one that was checked; callers must use its bytes, not its path.
pub(crate) fn check(path: &Path) -> Result<File, TrustError> {
    let user = rustix::process::geteuid().as_raw();
    let real = walk(path, user, &mut |_, _| {})?;
    let unreadable = |source: io::Error| TrustError::Unreadable { component: real.clone(), source };
    // The path had no link in it a moment ago, so a link is not followed.
    let (file, metadata) = match files::open(&real, Links::Refuse) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Err(TrustError::NotAFile { component: real });
        }
        opened => opened.map_err(unreadable)?,
    };
    examine(&real, &metadata, user)?;
    Ok(file)
}

/// Calls `visitor` with every folder and link on the way to a library, and with the library, as far as [`check`] would go.
pub(crate) fn visit(path: &Path, visitor: &mut dyn FnMut(&Path, &Metadata)) {
    // After a refusal the rest of the way does not matter.
    let _ = walk(path, rustix::process::geteuid().as_raw(), visitor);
}

/// Resolves a path and checks every folder and every link on the way. `visitor` gets each before it is checked.
fn walk(path: &Path, user: u32, visitor: &mut dyn FnMut(&Path, &Metadata)) -> Result<PathBuf, TrustError> {
    let unreadable = |component: &Path| {
        let component = component.to_owned();
        move |source| TrustError::Unreadable { component, source }
    };
    let absolute = std::path::absolute(path).map_err(unreadable(path))?;
    let root = Path::new("/");
    let metadata = root.symlink_metadata().map_err(unreadable(root))?;
    visitor(root, &metadata);
    examine(root, &metadata, user)?;
    let led = files::follow(&absolute, |entry| {
        let metadata = entry.symlink_metadata().map_err(unreadable(entry))?;
        visitor(entry, &metadata);
        if metadata.is_symlink() {
            if !is_ours(&metadata, user) {
                return Err(TrustError::Owner { component: entry.to_owned(), owner: metadata.uid() });
            }
            return entry.read_link().map(Some).map_err(unreadable(entry));
        }
        // The file is the last on the way, and is checked through its descriptor.
        if metadata.is_dir() {
            examine(entry, &metadata, user)?;
        }
        Ok(None)
    })?;
    led.ok_or_else(|| unreadable(path)(io::Error::other("too many links lead on from it")))
}

fn is_ours(metadata: &Metadata, user: u32) -> bool {
    metadata.uid() == 0 || metadata.uid() == user
}

/// Fails if other users can write to it.
fn examine(component: &Path, metadata: &Metadata, user: u32) -> Result<(), TrustError> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o022;
    let component = || -> PathBuf { component.to_owned() };
    if !is_ours(metadata, user) {
        return Err(TrustError::Owner { component: component(), owner: metadata.uid() });
    }
    let protected = metadata.is_dir() && metadata.mode() & STICKY != 0 && metadata.uid() == 0;
    if metadata.mode() & OTHERS_WRITE != 0 && !protected {
        return Err(TrustError::Writable { component: component(), mode: metadata.mode() & 0o7777 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn library() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("plugins")).unwrap();
        let path = dir.path().join("plugins/lib.so");
        File::create(&path).unwrap();
        for component in [path.as_path(), path.parent().unwrap()] {
            set_mode(component, if component.is_dir() { 0o755 } else { 0o644 });
        }
        (dir, path)
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_that_only_its_user_writes_is_trusted() {
        let (_dir, path) = library();
        assert!(check(&path).is_ok());
    }

    #[test]
    fn a_folder_that_others_write_is_named() {
        let (_dir, path) = library();
        set_mode(path.parent().unwrap(), 0o777);
        let error = check(&path).err().unwrap().to_string();
        assert!(error.contains("/plugins can be written by others (mode 0777)"), "{error}");
        assert!(error.contains("chmod go-w"), "{error}");
    }

    #[test]
    fn a_file_that_others_write_is_named() {
        let (_dir, path) = library();
        set_mode(&path, 0o666);
        assert!(check(&path).err().unwrap().to_string().contains("lib.so can be written by others"));
    }

    #[test]
    fn a_link_in_a_folder_that_others_write_is_refused() {
        let (dir, path) = library();
        let open_to_all = dir.path().join("open");
        std::fs::create_dir(&open_to_all).unwrap();
        set_mode(&open_to_all, 0o777);
        let link = open_to_all.join("lib.so");
        std::os::unix::fs::symlink(path, &link).unwrap();
        let error = check(&link).err().unwrap().to_string();
        assert!(error.contains("/open can be written by others"), "{error}");
    }

    #[test]
    fn a_fifo_is_refused_and_nobody_waits_for_its_writer() {
        use rustix::fs::{CWD, FileType, Mode};
        let (dir, _) = library();
        let fifo = dir.path().join("plugins/fifo.so");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(check(&fifo), Err(TrustError::NotAFile { .. })));
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_refused() {
        let (dir, _) = library();
        assert!(matches!(check(&dir.path().join("plugins")), Err(TrustError::NotAFile { .. })));
    }

    /// A chain of links to a library: `first` leads to `middle`, a folder in between, `middle` to the library's folder.
    fn chain(dir: &Path, between: &str) -> PathBuf {
        use std::os::unix::fs::symlink;
        for folder in ["first", between] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
            set_mode(&dir.join(folder), 0o755);
        }
        symlink("../../plugins", dir.join(between).join("hop")).unwrap();
        symlink(dir.join(between).join("hop/lib.so"), dir.join("first/lib.so")).unwrap();
        dir.join("first/lib.so")
    }

    #[test]
    fn every_link_of_a_chain_and_every_folder_of_each_is_judged() {
        let (dir, path) = library();
        let link = chain(dir.path(), "above/between");
        let file = check(&link).unwrap();
        assert_eq!(file.metadata().unwrap().ino(), std::fs::metadata(path).unwrap().ino());
        for (folder, fault) in [("first", "/first"), ("above/between", "/between"), ("above", "/above")] {
            set_mode(&dir.path().join(folder), 0o777);
            let error =
                check(&link).err().unwrap_or_else(|| panic!("{folder} was not looked at")).to_string();
            assert!(error.contains(&format!("{fault} can be written by others (mode 0777)")), "{error}");
            set_mode(&dir.path().join(folder), 0o755);
        }
        assert!(check(&link).is_ok());
    }

    #[test]
    fn links_in_a_circle_are_an_error_and_not_for_ever() {
        let (dir, _) = library();
        let link = dir.path().join("plugins/round.so");
        std::os::unix::fs::symlink("../plugins/round.so", &link).unwrap();
        assert!(matches!(check(&link), Err(TrustError::Unreadable { .. })));
    }

    #[test]
    fn a_link_of_somebody_else_in_a_sticky_folder_is_refused() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root can make a link for somebody else.
        }
        let (dir, path) = library();
        let sticky = dir.path().join("sticky");
        std::fs::create_dir(&sticky).unwrap();
        set_mode(&sticky, 0o1777);
        let link = sticky.join("lib.so");
        std::os::unix::fs::symlink(path, &link).unwrap();
        assert!(check(&link).is_ok());
        std::os::unix::fs::lchown(&link, Some(65534), Some(65534)).unwrap();
        assert!(matches!(check(&link), Err(TrustError::Owner { owner: 65534, .. })));
    }
}
