//! The helpers of these tests.
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use wharf_tests::host::{Host, Said};

/// Something mounted, until this is dropped.
pub(super) struct Mounted(PathBuf);

impl Mounted {
    /// None if this process may not mount anything, with a message.
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

    /// A folder over itself, so that it can be read alone; none as with `new`.
    pub(super) fn read_only(at: &Path) -> Option<Self> {
        let source = at.display().to_string();
        Self::new(at, &[&["--bind", &source], &["-o", "remount,ro,bind"]])
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

const FILLER: &str = "filler";

/// Leaves not one byte free.
pub(super) fn fill(folder: &Path) {
    let mut file = File::create(folder.join(FILLER)).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
}

/// Gives the room back.
pub(super) fn remove_filler(folder: &Path) {
    fs::remove_file(folder.join(FILLER)).unwrap();
}

/// Runs a command under a limit that a shell sets.
pub(super) fn limited(host: &Host, limit: &str, args: &[&str]) -> Said {
    let like = host.command(args);
    let environment = like.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit} && exec \"$@\""), "sh"]);
    command.arg(like.get_program()).args(like.get_args());
    command.env_clear().envs(environment).current_dir(host.work()).stdin(Stdio::null());
    Said::of(&command.output().unwrap())
}
