//! The check of `doctor` on the state directory: its rights, and whether its file system has working locks.
//!
//! It leaves nothing behind: the lock is tried on a file without a name.
use super::doctor_secrets;
use super::finding::Finding;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{Access, Mode, OFlags, access, open};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use wharf_records::StateDir;

const CHECK: &str = "state";
const LOCKS: &str = "locks";

/// Everything that can be found out without writing.
pub(super) fn examine(state: &StateDir) -> Vec<Finding> {
    let root = state.root();
    let Some(existing) = root.ancestors().find(|path| path.exists()) else {
        return vec![Finding::failed(
            CHECK,
            format!("{} cannot be made", root.display()),
            "name another one: --state-dir",
        )];
    };
    let mut findings = vec![if existing == root { used(root) } else { unmade(root, existing) }];
    findings.push(locks(existing));
    findings.extend(doctor_secrets::examine(state));
    findings
}

fn used(root: &Path) -> Finding {
    let shown = root.display();
    let metadata = match std::fs::metadata(root) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Finding::failed(
                CHECK,
                format!("{shown} cannot be examined: {error}"),
                format!("run: ls -ld {shown}"),
            );
        }
    };
    if !metadata.is_dir() {
        return Finding::failed(
            CHECK,
            format!("{shown} is no directory"),
            "move it away, or name another one: --state-dir",
        );
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        let message = format!("{shown} belongs to user {}", metadata.uid());
        return Finding::failed(CHECK, message, "run wharf as that user, or name another one: --state-dir");
    }
    if let Err(error) = access(root, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        let message = format!("{shown} cannot be written: {}", io::Error::from(error));
        return Finding::failed(CHECK, message, format!("mount it writable, or run: chmod u+rwx {shown}"));
    }
    if metadata.mode() & 0o077 != 0 {
        let message = format!("{shown} is open to other users (mode {:04o})", metadata.mode() & 0o7777);
        return Finding::warning(CHECK, message, format!("run: chmod 700 {shown}"));
    }
    Finding::ok(CHECK, shown.to_string())
}

fn unmade(root: &Path, existing: &Path) -> Finding {
    match access(existing, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok(CHECK, format!("{}, made at the first use", root.display())),
        Err(error) => {
            let message = format!(
                "{} cannot be made: {} cannot be written: {}",
                root.display(),
                existing.display(),
                io::Error::from(error)
            );
            Finding::failed(CHECK, message, "make it, or name another one: --state-dir")
        }
    }
}

fn locks(folder: &Path) -> Finding {
    let nameless =
        match open(folder, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR) {
            Ok(file) => file,
            Err(error) => {
                let message = format!("not tried in {}: {}", folder.display(), io::Error::from(error));
                return Finding::warning(LOCKS, message, "none is needed unless commands report lock errors");
            }
        };
    match lock(&nameless) {
        Ok(()) => Finding::ok(LOCKS, format!("they work in {}", folder.display())),
        Err(error) => {
            let message = format!("the file system of {} has no locks that work: {error}", folder.display());
            Finding::failed(LOCKS, message, "name a directory on a local file system: --state-dir")
        }
    }
}

/// Takes an open-file-description lock on the first byte, like the locks of workloads.
fn lock(file: &OwnedFd) -> io::Result<()> {
    let range = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 1,
        l_pid: 0, // must be zero for open-file-description locks
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&range))?;
    Ok(())
}
