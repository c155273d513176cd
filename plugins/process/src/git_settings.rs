//! Opens the user's Git settings to a workload, if they hold no credentials. Git refuses to work if it sees that the file
//! exists and cannot read it.
use crate::{environment::has_credentials, places::Places};
use std::path::{Path, PathBuf};
use wharf_sdk::files::{self, Links};

/// Paths below HOME.
const FILES: [&str; 2] = [".gitconfig", ".config/git/config"];
/// A larger file is not searched, so it counts as one with credentials.
const MAX_BYTES: u64 = 64 * 1024;
/// Parts, in lower case, of the names of settings that hold credentials or say how they are sent.
const TELLING: [&str; 8] =
    ["extraheader", "authorization", "bearer", "pass", "token", "secret", "_auth", "apikey"];

/// Opens the files that hold no credentials.
pub(crate) fn add(places: &mut Places<'_>) {
    let Some(home) = &places.guard.home else { return };
    for path in FILES.map(|name| home.join(name)) {
        if may_be_read(&path, places) {
            places.program(path);
        }
    }
}

/// True if it is a regular file without credentials and its name contains no link.
fn may_be_read(path: &PathBuf, places: &Places<'_>) -> bool {
    places.trail.lead(path).is_some_and(|led| led.path == *path)
        && !places.guard.is_hosts(path)
        && text(path).is_some_and(|text| !tells(&text))
}

/// The file's contents. None if it cannot be read as a whole, or is no text.
fn text(path: &Path) -> Option<String> {
    String::from_utf8(files::read_file(path, Links::Refuse, MAX_BYTES).ok()?).ok()
}

fn tells(text: &str) -> bool {
    let lower = text.to_lowercase();
    text.lines().any(has_credentials) || TELLING.iter().any(|part| lower.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guard::Guard, trail::Trail};
    use std::{fs, fs::File, io::Write, os::unix::fs::symlink};

    /// The files that are opened.
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
