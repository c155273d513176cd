//! Recognises a workload that does not get ready because its home is closed to it, by its last output: words of a refused
//! file, and a path in that home which is not open. Called for runtimes that tell which files are open, whatever they are.
//!
//! The output is the workload's, so nothing in it is believed: the path is shown, and a folder is named in advice only if
//! nothing is there yet and nothing but the workload would look for it there.
use std::{
    io,
    path::{Component, Path, PathBuf},
};
use wharf_model::{Advice, Error};
use wharf_sdk::OpenPaths;

/// Words of programs that were refused a file, in lower case.
const REFUSED: [&str; 9] = [
    "access to the path",
    "accessdenied",
    "eacces",
    "eperm",
    "erofs",
    "not accessible",
    "operation not permitted",
    "permission denied",
    "read-only file system",
];
/// Words of programs that missed a file, and of what they wanted to do with it. In a closed home nothing is there.
const MISSED: [&str; 2] = ["enoent", "no such file or directory"];
const DOING: [&str; 3] = ["makedirs", "mkdir", "open"];
/// Characters that end a path that is not quoted.
const ENDS: &str = "'\"`,;:()[]{}<>|\u{2018}\u{2019}\u{201c}\u{201d}";
/// A longer path is not looked at.
const LONGEST: usize = 256;
/// Folders of a home in which programs of its user look for settings, keys and programs, also if they are not there yet.
/// What could be put there is more than a folder of one server.
const OF_OTHERS: [&str; 28] = [
    ".aws",
    ".azure",
    ".bashrc.d",
    ".cache",
    ".cargo",
    ".claude",
    ".config",
    ".cursor",
    ".docker",
    ".emacs.d",
    ".fonts",
    ".gem",
    ".git",
    ".gnupg",
    ".gradle",
    ".kube",
    ".local",
    ".m2",
    ".mozilla",
    ".npm",
    ".nvim",
    ".oh-my-zsh",
    ".pki",
    ".rustup",
    ".ssh",
    ".vim",
    ".vscode",
    ".zsh",
];

/// Whether an output has words of a refused file.
pub(crate) fn tells_of_refusal(output: &str) -> bool {
    let output = output.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| output.contains(word));
    has(&REFUSED) || has(&MISSED) && has(&DOING)
}

/// The error with what to do, where such an output names a path that is closed with the workload's home.
pub(crate) fn explained(error: Error, output: &str, home: &Path, open: &OpenPaths) -> Error {
    // Collecting the components removes a slash at the end.
    let home: PathBuf = home.components().collect();
    let real = home.canonicalize().unwrap_or_else(|_| home.clone());
    if [&home, &real].into_iter().any(|home| !home.is_absolute() || home.parent().is_none()) {
        return error;
    }
    let is_open = |below: &Path| {
        let mut open = open.write.iter().chain(&open.read).chain(&open.system);
        open.any(|path| real.join(below).starts_with(path))
    };
    let named = [&home, &real].into_iter().filter_map(|home| home.to_str());
    let mut below = named.flat_map(|home| paths_in(output, home));
    let Some(below) = below.find(|below| !is_open(below)) else { return error };
    // Without a component, joining adds a slash.
    let path = if below.as_os_str().is_empty() { home.clone() } else { home.join(below) };
    let error = error.hint(format!(
        "its home is closed to it, and '{}' of its output lies there; it may take another folder by an argument or a \
         variable of its own, and a permission profile opens paths, too",
        path.display()
    ));
    let error = match folder_of_its_own(&home, below) {
        Some(path) => error.advise(Advice::OpenFolder { path }),
        None => error,
    };
    error.advise(Advice::GiveHome)
}

/// The paths below a home that a text names, relative to it; empty for the home itself.
fn paths_in<'a>(text: &'a str, home: &str) -> impl Iterator<Item = &'a Path> {
    let length = home.len();
    text.match_indices(home).filter_map(move |(at, _)| {
        let before = text.get(..at)?.chars().next_back();
        // Then it is the end of another path.
        if before.is_some_and(|c| c.is_alphanumeric() || "/._-~".contains(c)) {
            return None;
        }
        let is_quote = |c: &char| matches!(c, '\'' | '"' | '`');
        let quote = before.filter(is_quote);
        let ends = |c: char| match quote {
            Some(quote) => c == quote || c.is_control(),
            None => c.is_whitespace() || c.is_control() || ENDS.contains(c),
        };
        let rest = text.get(at + length..)?;
        let below = rest.find(ends).and_then(|end| rest.get(..end)).unwrap_or(rest);
        below_home(below)
    })
}

/// What follows a home in a text, as a path below that home; none if it belongs to another name, or leads out of it.
fn below_home(rest: &str) -> Option<&Path> {
    let is_parent = |part: &str| part == "..";
    if rest.len() > LONGEST || rest.split('/').any(is_parent) {
        return None;
    }
    // The end of a sentence.
    let rest = rest.trim_end_matches(['.', '/']);
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let below = Path::new(rest.trim_start_matches('/'));
    below.components().all(|part| matches!(part, Component::Normal(_))).then_some(below)
}

/// The folder in the home that the workload would make for itself: not there yet, hidden, and no place of others.
fn folder_of_its_own(home: &Path, below: &Path) -> Option<PathBuf> {
    let Some(Component::Normal(name)) = below.components().next() else { return None };
    let name = name.to_str()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_its_own = name.starts_with('.') && name.chars().all(is_plain) && !OF_OTHERS.contains(&name);
    let folder = home.join(name);
    // A mount cannot name a path with a colon.
    if !is_its_own || folder.to_str()?.contains(':') {
        return None;
    }
    let is_missing = folder.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    is_missing.then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use wharf_model::ErrorKind;

    /// The advice about an output; `{home}` in it is the home.
    fn advice(home: &Path, output: &str, open: &OpenPaths) -> Vec<Advice> {
        let output = output.replace("{home}", &home.display().to_string());
        assert!(tells_of_refusal(&output), "{output}");
        explained(Error::new(ErrorKind::Runtime, "it ended"), &output, home, open).advice
    }

    /// The folder that is to be made and opened, if a closed home is the reason.
    fn folder(home: &Path, output: &str) -> Option<Option<PathBuf>> {
        let advice = advice(home, output, &OpenPaths::default());
        assert!(advice.is_empty() || advice.last() == Some(&Advice::GiveHome), "{advice:?}");
        let is_told = !advice.is_empty();
        let folder = advice.into_iter().find_map(|step| match step {
            Advice::OpenFolder { path } => Some(path),
            _ => None,
        });
        is_told.then_some(folder)
    }

    #[test]
    fn words_of_servers_that_cannot_make_a_folder_in_the_home_are_known() {
        let temporary = tempfile::tempdir().unwrap();
        let home = temporary.path().canonicalize().unwrap();
        for (output, name) in [
            (
                "[Error: ENOENT: no such file or directory, mkdir '{home}/.mongodb'] {\n  errno: -2,",
                ".mongodb",
            ),
            ("OSError: [Errno 30] Read-only file system: '{home}/.code-index'", ".code-index"),
            ("mkdir: cannot create directory \u{2018}{home}/.own\u{2019}: Permission denied", ".own"),
            ("open {home}/.tool/deep/settings.json: read-only file system", ".tool"),
            ("EACCES: permission denied, mkdir '{home}/.a b'\n path: '{home}/.c/d'", ""),
        ] {
            let made = (!name.is_empty()).then(|| home.join(name));
            assert_eq!(folder(&home, output), Some(made), "{output}");
        }
        let whole =
            "Default extraction directory [{home}] either doesn't exist or is not accessible for read/write.";
        assert_eq!(folder(&home, whole), Some(None));
        assert!(!tells_of_refusal("ENOENT: no such command") && !tells_of_refusal("no configuration found"));
    }

    #[test]
    fn no_folder_is_named_that_is_there_or_that_others_use() {
        let temporary = tempfile::tempdir().unwrap();
        let home = temporary.path().canonicalize().unwrap();
        fs::create_dir(home.join(".there")).unwrap();
        for name in [
            ".there/x",
            ".ssh/authorized_keys",
            ".config/autostart",
            "bin/x",
            ".x$(id)",
            ".\u{202e}x",
            ".a;b",
        ] {
            let output = format!("EROFS: read-only file system, mkdir '{{home}}/{name}'");
            assert_eq!(folder(&home, &output), Some(None), "{name}");
        }
    }

    #[test]
    fn a_path_that_lies_elsewhere_or_is_open_is_no_reason() {
        let temporary = tempfile::tempdir().unwrap();
        let home = temporary.path().canonicalize().unwrap();
        let long = "x".repeat(LONGEST);
        for path in [
            "{home}/../x",
            "{home}/.x/../../y",
            "{home}-other/x",
            "/mnt{home}/.x",
            &format!("{{home}}/.{long}"),
        ] {
            assert_eq!(folder(&home, &format!("EACCES: mkdir '{path}'")), None, "{path}");
        }
        let open = |paths: &[&str]| OpenPaths {
            write: paths.iter().map(|path| home.join(path).display().to_string()).collect(),
            ..OpenPaths::default()
        };
        let output = "EACCES: mkdir '{home}/.x/y', in '{home}/.z'";
        assert!(advice(&home, output, &open(&[".x", ".z"])).is_empty());
        assert_eq!(advice(&home, output, &open(&[".x"]))[1], Advice::OpenFolder { path: home.join(".z") });
        let error = Error::new(ErrorKind::Runtime, "it ended");
        assert!(explained(error, "EACCES: /x", Path::new("/"), &OpenPaths::default()).advice.is_empty());
    }
}
