//! Whether a file may be run as part of this process: nobody but its user and root can have written it.
//!
//! Like sshd's StrictModes it judges every folder on the way, since who can rename a folder can exchange what is in
//! it, and it names the one at fault. A sticky folder of root's (`/tmp`) protects what others put in it.
use super::error::TrustError;
use std::{
    fs::{File, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A library that may be loaded.
pub(super) struct Trusted {
    /// The file that was judged; its bytes are to be used, not its path.
    pub(super) file: File,
    /// Nobody but root can change it or replace it: its bytes stay what they are while it is mapped.
    pub(super) only_root_writes: bool,
}

/// Opens and judges a library.
pub(super) fn judge(path: &Path) -> Result<Trusted, TrustError> {
    let unreadable = |component: &Path| {
        let component = component.to_owned();
        move |source| TrustError::Unreadable { component, source }
    };
    let real = path.canonicalize().map_err(unreadable(path))?;
    let file = open(&real).map_err(unreadable(&real))?;
    let metadata = file.metadata().map_err(unreadable(&real))?;
    if !metadata.is_file() {
        return Err(TrustError::NotAFile { component: real });
    }
    let user = rustix::process::geteuid().as_raw();
    let mut only_root_writes = examine(&real, &metadata, user)?;
    // Where a link leads must be trusted, and so must the folder that the link lies in.
    let named = path.parent().map(Path::canonicalize).transpose().map_err(unreadable(path))?;
    for folder in real.ancestors().skip(1).chain(named.iter().flat_map(|named| named.ancestors())) {
        let metadata = folder.symlink_metadata().map_err(unreadable(folder))?;
        only_root_writes &= examine(folder, &metadata, user)?;
    }
    Ok(Trusted { file, only_root_writes })
}

/// Opening must not wait: a fifo would, for a writer.
fn open(path: &Path) -> std::io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Fails where others can write; tells whether only root can.
fn examine(component: &Path, metadata: &Metadata, user: u32) -> Result<bool, TrustError> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o022;
    let component = || -> PathBuf { component.to_owned() };
    if metadata.uid() != 0 && metadata.uid() != user {
        return Err(TrustError::Owner { component: component(), owner: metadata.uid() });
    }
    let protected = metadata.is_dir() && metadata.mode() & STICKY != 0 && metadata.uid() == 0;
    if metadata.mode() & OTHERS_WRITE != 0 && !protected {
        return Err(TrustError::Writable { component: component(), mode: metadata.mode() & 0o7777 });
    }
    Ok(metadata.uid() == 0)
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
        let trusted = judge(&path).unwrap();
        assert_eq!(trusted.only_root_writes, rustix::process::geteuid().is_root());
    }

    #[test]
    fn a_folder_that_others_write_is_named() {
        let (_dir, path) = library();
        set_mode(path.parent().unwrap(), 0o777);
        let error = judge(&path).err().unwrap().to_string();
        assert!(error.contains("/plugins can be written by others (mode 0777)"), "{error}");
        assert!(error.contains("chmod go-w"), "{error}");
    }

    #[test]
    fn a_file_that_others_write_is_named() {
        let (_dir, path) = library();
        set_mode(&path, 0o666);
        assert!(judge(&path).err().unwrap().to_string().contains("lib.so can be written by others"));
    }

    #[test]
    fn a_link_in_a_folder_that_others_write_is_refused() {
        let (dir, path) = library();
        let open_to_all = dir.path().join("open");
        std::fs::create_dir(&open_to_all).unwrap();
        set_mode(&open_to_all, 0o777);
        let link = open_to_all.join("lib.so");
        std::os::unix::fs::symlink(path, &link).unwrap();
        let error = judge(&link).err().unwrap().to_string();
        assert!(error.contains("/open can be written by others"), "{error}");
    }

    #[test]
    fn a_fifo_is_refused_and_nobody_waits_for_its_writer() {
        use rustix::fs::{CWD, FileType, Mode};
        let (dir, _) = library();
        let fifo = dir.path().join("plugins/fifo.so");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(judge(&fifo), Err(TrustError::NotAFile { .. })));
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_refused() {
        let (dir, _) = library();
        assert!(matches!(judge(&dir.path().join("plugins")), Err(TrustError::NotAFile { .. })));
    }
}
