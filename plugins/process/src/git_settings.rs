//! The user's own settings of Git. Where a workload sees that they are there and cannot read them, Git does nothing at all.
use crate::{environment::has_credentials, places::Places};
use rustix::fs::{Mode, OFlags, open};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// Below HOME.
const FILES: [&str; 2] = [".gitconfig", ".config/git/config"];
/// What is larger may have credentials anywhere.
const MAX_BYTES: u64 = 64 * 1024;
/// In lower case: part of the names of what holds credentials, or of how they are sent.
const TELLING: [&str; 8] =
    ["extraheader", "authorization", "bearer", "pass", "token", "secret", "_auth", "apikey"];

/// Opens those that hold no credentials.
pub(crate) fn add(places: &mut Places<'_>) {
    let Some(home) = &places.guard.home else { return };
    for path in FILES.map(|name| home.join(name)) {
        if may_be_read(&path, places) {
            places.program(path);
        }
    }
}

/// Whether it is a plain file under its own name, a link to nothing else, and without credentials.
fn may_be_read(path: &PathBuf, places: &Places<'_>) -> bool {
    places.trail.lead(path).is_some_and(|led| led.path == *path)
        && !places.guard.is_hosts(path)
        && text(path).is_some_and(|text| !tells(&text))
}

/// None: it is no text that can be read as a whole.
fn text(path: &Path) -> Option<String> {
    // For a FIFO's writer nobody waits.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text).ok()?;
    (read as u64 <= MAX_BYTES).then_some(text)
}

fn tells(text: &str) -> bool {
    let lower = text.to_lowercase();
    text.lines().any(has_credentials) || TELLING.iter().any(|part| lower.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guard::Guard, trail::Trail};
    use std::{fs, io::Write, os::unix::fs::symlink};

    /// Which of them are opened.
    fn opened(home: &Path) -> Vec<PathBuf> {
        let env = [("HOME".to_owned(), home.display().to_string())].into();
        let (guard, trail) = (Guard::new(&env, &[], &[]), Trail::new(Vec::new()));
        let mut places = Places::new(&trail, &guard, "demo", None);
        add(&mut places);
        places.settle().unwrap().0.into_iter().map(|place| place.path).collect()
    }

    fn write(path: &Path, text: &str) {
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn settings_are_opened_unless_they_hold_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        fs::create_dir_all(home.join(".config/git")).unwrap();
        let files = FILES.map(|name| home.join(name));
        assert!(opened(&home).is_empty());
        for path in &files {
            let one = [path.clone()];
            for harmless in ["", "[user]\n\tname = A. Person\n\temail = a@example.org\n\tsigningkey = 12AB\n"]
            {
                write(path, harmless);
                assert_eq!(opened(&home), one, "{harmless}");
            }
            for telling in [
                "[url \"https://me:word@example.org/\"]\n\tinsteadOf = https://example.org/\n",
                "[http]\n\tproxy = http://me:word@proxy:8080\n",
                "[http]\n\textraHeader = X: y\n",
                "[sendemail]\n\tsmtpPass = word\n",
                "[github]\n\tToken = 12ab\n",
                &" ".repeat(70_000),
            ] {
                write(path, telling);
                assert!(opened(&home).is_empty(), "{telling}");
            }
            fs::remove_file(path).unwrap();
            write(&home.join("elsewhere"), "");
            symlink(home.join("elsewhere"), path).unwrap();
            assert!(opened(&home).is_empty());
            fs::remove_file(path).unwrap();
        }
    }
}
