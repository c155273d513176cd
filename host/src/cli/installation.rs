//! What `packaging/install` put below a prefix with this executable: the list of files that it left there.
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wharf_sdk::files::{self, Links};

/// The list, below the prefix: a file a line.
const LIST: &str = "share/wharf/installed";
/// A larger list is none of ours.
const MAX_LIST_BYTES: u64 = 1024 * 1024;
/// More files of one folder are counted and not named.
const MAX_NAMED: usize = 4;

/// The files that were installed together with this executable.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Installation {
    /// The folder below which they are.
    prefix: PathBuf,
    /// The files, below the prefix.
    files: Vec<PathBuf>,
    /// Those of them that are not there any more.
    missing: Vec<PathBuf>,
}

impl Installation {
    /// The installation that an executable is part of. None if it is in no `bin`, or nothing was listed beside it.
    pub(super) fn of(executable: &Path) -> Option<Self> {
        let prefix = prefix_of(executable)?;
        let text = files::read_file(&prefix.join(LIST), Links::Follow, MAX_LIST_BYTES).ok()?;
        let files: Vec<PathBuf> = String::from_utf8(text).ok()?.lines().map(PathBuf::from).collect();
        let missing = files.iter().filter(|file| !prefix.join(file).exists()).cloned().collect();
        Some(Self { prefix: prefix.to_owned(), files, missing })
    }

    /// The same for people: a line for each folder.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut folders = BTreeMap::<&Path, Vec<String>>::new();
        for file in &self.files {
            let folder = file.parent().unwrap_or(Path::new(""));
            let name = file.file_name().unwrap_or_default().display().to_string();
            folders.entry(folder).or_default().push(name);
        }
        let mut lines = vec![format!("installed in {}", self.prefix.display())];
        lines.extend(folders.into_iter().map(|(folder, names)| {
            let told = match names.len() {
                count if count > MAX_NAMED => format!("{count} files"),
                _ => names.join(", "),
            };
            format!("  {}: {told}", folder.display())
        }));
        lines
            .extend(self.missing.iter().map(|file| format!("missing: {}", self.prefix.join(file).display())));
        lines
    }
}

/// The prefix of an executable in its folder `bin`.
pub(super) fn prefix_of(executable: &Path) -> Option<&Path> {
    let bin = executable.parent()?;
    bin.parent().filter(|_| bin.file_name().is_some_and(|name| name == "bin"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Write;

    #[test]
    fn what_was_installed_is_told_by_folder_and_what_is_gone_is_named() {
        let prefix = tempfile::tempdir().unwrap();
        let names = ["bin/wharf", "lib/a.so", "man/1", "man/2", "man/3", "man/4", "man/5", LIST];
        for name in names.iter().filter(|name| **name != "lib/a.so") {
            fs::create_dir_all(prefix.path().join(name).parent().unwrap()).unwrap();
            File::create(prefix.path().join(name)).unwrap();
        }
        let mut list = File::create(prefix.path().join(LIST)).unwrap();
        list.write_all(names.map(|name| format!("{name}\n")).concat().as_bytes()).unwrap();
        let found = Installation::of(&prefix.path().join("bin/wharf")).unwrap();
        let shown = prefix.path().display().to_string();
        let expected = [
            format!("installed in {shown}"),
            "  bin: wharf".to_owned(),
            "  lib: a.so".to_owned(),
            "  man: 5 files".to_owned(),
            "  share/wharf: installed".to_owned(),
            format!("missing: {shown}/lib/a.so"),
        ];
        assert_eq!(found.lines(), expected);
    }

    #[test]
    fn an_executable_that_was_not_installed_has_no_prefix() {
        assert!(prefix_of(Path::new("/srv/target/debug/wharf")).is_none());
        assert_eq!(prefix_of(Path::new("/usr/bin/wharf")), Some(Path::new("/usr")));
        let empty = tempfile::tempdir().unwrap();
        assert!(Installation::of(&empty.path().join("bin/wharf")).is_none());
    }
}
