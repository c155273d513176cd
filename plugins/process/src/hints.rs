//! Warnings about files that programs look for and will not find in their sandbox. Called when a workload is created, by
//! `pin` or `validate`; it opens nothing and refuses nothing.
use crate::{guard::Guard, mounts, package::Tool};
use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
};
use wharf_sdk::{
    Mount, WorkloadSpec,
    launch::{Job, Sandbox},
};

/// Programs that look for packages in the folders above a script.
const LOOKS_ABOVE: [&str; 4] = ["node", "nodejs", "bun", "deno"];

/// A warning about the files that the program of a confined workload will not find, with a remedy. None if nothing is known
/// about the program.
pub(crate) fn of(job: &Job) -> Option<String> {
    let sandbox = job.sandbox.as_ref()?;
    let is_open = |path: &Path| is_open(sandbox, path);
    let name = job.program.file_name()?.to_str()?;
    if name == "uv" && job.args.iter().any(|argument| argument == "run") {
        let cache = cache_of_uv(job)?;
        return (!is_open(&cache)).then(|| {
            format!(
                "'uv run' needs its cache, '{}', which is not open to the workload: name that folder in a \
                 --permission-profile, or run a package with uvx://",
                cache.display()
            )
        });
    }
    if !LOOKS_ABOVE.contains(&name) {
        return None;
    }
    let script = job.args.iter().find(|argument| !argument.starts_with('-'))?;
    let script = job.current_dir.join(script).canonicalize().ok()?;
    let folders = script.ancestors().skip(1).map(|folder| folder.join("node_modules"));
    let there: Vec<PathBuf> = folders.filter(|folder| folder.is_dir()).collect();
    let nearest = there.first()?;
    (!there.iter().any(|folder| is_open(folder))).then(|| {
        format!(
            "'{name}' looks for packages in '{}', which is not open to the workload: run it from the folder that holds \
             that, or name it in a --permission-profile",
            nearest.display()
        )
    })
}

/// Whether the sandbox opens a path without links at its own place.
fn is_open(sandbox: &Sandbox, path: &Path) -> bool {
    let mut places = sandbox.read.iter().chain(&sandbox.write);
    places.any(|place| place.at.is_none() && path.starts_with(&place.path))
}

/// A warning where the folder that a workload was run from is closed to it, although no profile says so. A package needs no
/// neighbours.
pub(crate) fn of_closed_folder(spec: &WorkloadSpec, job: &Job) -> Option<String> {
    let sandbox = job.sandbox.as_ref().filter(|_| spec.permission_profile.is_none())?;
    // Runs in the user's home, or as a package in a folder of its own, without having been asked for.
    let folder = spec.working_dir.as_ref().map(|_| &job.current_dir)?;
    // Then the mount says what it reads and writes there, and that is told.
    let is_mounted = || split_mounts(spec, sandbox).any(|mounted| folder.starts_with(mounted));
    if is_open(sandbox, folder) || is_mounted() || matches!(Tool::of(&spec.source, &spec.args), Ok(Some(_))) {
        return None;
    }
    let folder_named = folder.display();
    Some(if sandbox.listed.contains(folder) {
        format!(
            "'{folder_named}', which it runs in, holds keys or wharf's own files and is not opened as a whole: it reads what \
             lies there without a dot before its name, and writes nothing; run it from a folder of its own, or open what it \
             needs with -v PATH"
        )
    } else {
        format!(
            "'{folder_named}', which it runs in, is closed to it, since keys, files of wharf's own or files of others lie there; \
             run it from a folder of its own, or open what it needs with -v PATH"
        )
    })
}

/// The folders that a specification mounts and that are opened in parts, without links.
fn split_mounts(spec: &WorkloadSpec, sandbox: &Sandbox) -> impl Iterator<Item = PathBuf> {
    let mounts = spec.mounts.iter().filter_map(|text| Mount::parse(text).ok());
    let real = mounts.filter_map(|mount| Path::new(mount.source).canonicalize().ok());
    real.filter(|folder| sandbox.listed.contains(folder))
}

/// A warning for each mounted folder that is opened in parts.
pub(crate) fn of_split_mounts(spec: &WorkloadSpec, job: &Job) -> Vec<String> {
    let Some(sandbox) = &job.sandbox else { return Vec::new() };
    let warning = |folder: PathBuf| {
        format!(
            "'{}', which is mounted, holds keys or wharf's own files: what lies in it now is opened, without keys, links and \
             names with a dot; what its user runs (folders of PATH, what a shell reads) is read-only",
            folder.display()
        )
    };
    split_mounts(spec, sandbox).map(warning).collect()
}

/// What is known of a path that an argument names and that is closed to the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// A mount opens it.
    Openable,
    /// A mount opens it, and keys with it. Nobody is asked for them.
    OfKeys,
    /// It is the host's own.
    OfHost,
    /// It holds homes, keys or files of the host's, and cannot be opened in parts.
    TooWide,
}

impl Closed {
    fn of(real: &Path, guard: &Guard) -> Self {
        if guard.lies_in_hosts(real) {
            Self::OfHost
        } else if !mounts::can_be_opened(real, guard) {
            Self::TooWide
        } else if guard.is_closed(real) {
            Self::OfKeys
        } else {
            Self::Openable
        }
    }

    /// The warning about such a path. None where its user can be asked.
    pub(crate) fn warning(self, path: &Path) -> Option<String> {
        let path = path.display();
        match self {
            Self::Openable => None,
            Self::OfKeys => Some(format!(
                "'{path}' of the arguments is where keys and tokens are, and is closed; -v opens it by its own name, if that \
                 is meant"
            )),
            Self::OfHost => {
                Some(format!("'{path}' of the arguments is wharf's own, which no workload may have"))
            }
            Self::TooWide => Some(format!(
                "'{path}' of the arguments is closed, since it holds a home, keys or files of wharf's own; open what is needed \
                 in it with -v PATH"
            )),
        }
    }
}

/// The paths of this machine that arguments name; those that are open are left out. An argument may begin with an option
/// (`--root=PATH`).
pub(crate) fn closed_paths(
    spec: &WorkloadSpec,
    job: &Job,
    guard: impl Fn() -> Guard,
) -> Vec<(PathBuf, Closed)> {
    let Some(sandbox) = &job.sandbox else { return Vec::new() };
    let mut found: Vec<(PathBuf, Closed)> = Vec::new();
    // Most workloads name no such path, and a guard looks at hundreds.
    let guarded = OnceCell::new();
    for argument in &spec.args {
        let value = match argument.split_once('=') {
            Some((option, value)) if option.starts_with('-') => value,
            _ => argument,
        };
        let Some(path) = named(value, job) else { continue };
        let Ok(real) = path.canonicalize() else { continue };
        // A path with dots is told as what it leads to.
        let has_dots = path.components().any(|part| part == std::path::Component::ParentDir);
        let path = if has_dots { real.clone() } else { path };
        let is_shown = |place: &wharf_sdk::launch::Place| {
            place.at.as_ref().is_some_and(|at| path.starts_with(at) || at.starts_with(&path))
        };
        let is_seen = is_open(sandbox, &real)
            || sandbox.listed.contains(&real)
            || sandbox.read.iter().chain(&sandbox.write).any(is_shown);
        if is_seen || real.parent().is_none() || found.iter().any(|(other, _)| *other == path) {
            continue;
        }
        let closed = Closed::of(&real, guarded.get_or_init(&guard));
        found.push((path, closed));
    }
    found
}

/// The path that an argument names: an absolute one, or one that begins with a dot or with the home.
fn named(value: &str, job: &Job) -> Option<PathBuf> {
    let (first, rest) = value.split_once('/').unwrap_or((value, ""));
    let path = match first {
        "" if value.starts_with('/') => PathBuf::from(value),
        "." | ".." => job.current_dir.join(value),
        "~" => Path::new(job.env.get("HOME")?).join(rest),
        _ => return None,
    };
    // Collecting the components removes dots at the end.
    path.is_absolute().then(|| path.components().collect())
}

fn cache_of_uv(job: &Job) -> Option<PathBuf> {
    let told = |name: &str| job.env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = told("UV_CACHE_DIR").or_else(|| told("XDG_CACHE_HOME").map(|cache| cache.join("uv")));
    let cache = cache.or_else(|| told("HOME").map(|home| home.join(".cache/uv")))?;
    Some(cache.canonicalize().unwrap_or(cache))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, fs};

    #[test]
    fn nobody_is_asked_for_keys_or_for_what_would_be_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let home = folder.join("home");
        for name in [".ssh", ".config/wharf/secrets", "docs", ".config/editor"] {
            fs::create_dir_all(home.join(name)).unwrap();
        }
        let env = BTreeMap::from([("HOME".to_owned(), home.display().to_string())]);
        let guard = Guard::new(&env, &[], &[home.join(".config/wharf")]);
        for (path, closed) in [
            ("docs", Closed::Openable),
            ("", Closed::Openable),
            (".ssh", Closed::OfKeys),
            (".ssh/id", Closed::OfKeys),
            (".config/editor", Closed::OfKeys),
            (".config", Closed::TooWide),
            (".config/wharf/secrets", Closed::OfHost),
        ] {
            assert_eq!(Closed::of(&home.join(path), &guard), closed, "{path}");
        }
        assert_eq!(Closed::of(Path::new("/"), &guard), Closed::TooWide);
        for number in 0..100 {
            fs::File::create(home.join(format!("file-{number}"))).unwrap();
        }
        assert_eq!(Closed::of(&home, &guard), Closed::TooWide, "it has too many parts");
        assert!(Closed::Openable.warning(&home).is_none() && Closed::OfKeys.warning(&home).is_some());
    }
}
