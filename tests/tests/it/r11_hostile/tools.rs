//! What these tests have in common.
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use wharf_tests::host::Host;

/// Something mounted, until this is dropped.
pub(super) struct Mounted(PathBuf);

impl Mounted {
    /// None where this process may not mount anything, which is said.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub(super) fn new(at: &Path, args: &[&[&str]]) -> Option<Self> {
        let mount = |args: &[&str]| {
            let said = Command::new("mount").args(args).arg(at).stderr(Stdio::null()).status();
            said.is_ok_and(|status| status.success())
        };
        if !mount(args[0]) {
            eprintln!("skipped: nothing can be mounted here; this needs root");
            return None;
        }
        let mounted = Self(at.to_owned());
        assert!(args[1..].iter().all(|args| mount(args)));
        Some(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// The paths and bytes of all files below a folder.
pub(super) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(contents(&entry.path()));
        } else if kind.is_file() {
            found.push((entry.path(), fs::read(entry.path()).unwrap()));
        }
    }
    found.sort();
    found
}

pub(super) fn write(path: &Path, text: &[u8]) {
    File::create(path).unwrap().write_all(text).unwrap();
}

pub(super) fn status(host: &Host, name: &str) -> String {
    host.row(name).unwrap()["status"].as_str().unwrap().to_owned()
}
