//! The check of `doctor` on the state directory: its rights, whether it can be written, and whether its file system has
//! working locks.
//!
//! It leaves nothing behind: the lock is tried on a file without a name.
use super::finding::Finding;
use super::{doctor_secrets, doctor_writing};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{Access, access};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use wharf_records::StateDir;

const CHECK: &str = "state";
const LOCKS: &str = "locks";
const OPTION: &str = "--state-dir";

/// Everything that can be found out without leaving anything.
pub(super) fn examine(state: &StateDir) -> Vec<Finding> {
    let root = state.root();
    let Some(existing) = root.ancestors().find(|path| path.exists()) else {
        return vec![Finding::failed(
            CHECK,
            format!("{} cannot be made", root.display()),
            "name another one: --state-dir",
        )];
    };
    let mut findings = vec![if existing == root { used(state) } else { unmade(root) }];
    findings.push(locks(existing));
    findings.extend(doctor_secrets::examine(state));
    findings
}

fn used(state: &StateDir) -> Finding {
    let root = state.root();
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
    let below = [
        state.run_configs(),
        state.statuses(),
        state.proxy_secrets(),
        state.logs(),
        state.control(),
        state.sockets(),
        state.api(),
    ];
    if let Some(found) = doctor_writing::unwritable(root, below, OPTION) {
        return Finding::failed(CHECK, found.message, found.remedy);
    }
    if let Err(error) = access(root, Access::READ_OK | Access::EXEC_OK) {
        let message = format!("{shown} cannot be read: {}", io::Error::from(error));
        return Finding::failed(CHECK, message, format!("run: chmod u+rwx {shown}"));
    }
    if metadata.mode() & 0o077 != 0 {
        let message = format!("{shown} is open to other users (mode {:04o})", metadata.mode() & 0o7777);
        return Finding::warning(CHECK, message, format!("run: chmod 700 {shown}"));
    }
    Finding::ok(CHECK, shown.to_string())
}

fn unmade(root: &Path) -> Finding {
    match doctor_writing::unwritable(root, [], OPTION) {
        None => Finding::ok(CHECK, format!("{}, made at the first use", root.display())),
        Some(found) => Finding::failed(CHECK, found.message, found.remedy),
    }
}

fn locks(folder: &Path) -> Finding {
    let nameless = match doctor_writing::nameless(folder) {
        Ok(file) => file,
        Err(error) => {
            let message = format!("not tried in {}: {error}", folder.display());
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
fn lock(file: &File) -> io::Result<()> {
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
