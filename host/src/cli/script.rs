//! A SERVER that is the file of a script: `wharf run server.py`.
//!
//! A command in PATH of that name comes first. A script that can be executed runs as it is; any other one runs with
//! the interpreter of its kind, which is told.
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use wharf_model::{Error, ErrorKind, Result};

/// The endings of scripts, each with the interpreters to look for, the best first.
const KINDS: [(&str, &[&str]); 5] = [
    (".py", &["python3", "python"]),
    (".js", &["node", "bun"]),
    (".mjs", &["node", "bun"]),
    // Node runs TypeScript by itself since 22.18.
    (".ts", &["tsx", "bun", "node"]),
    (".sh", &["bash", "sh"]),
];

/// A script, and the command that it is run with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script {
    /// SERVER, as it is to be parsed.
    pub(super) server: String,
    /// The script as the first argument, if an interpreter is SERVER.
    pub(super) argument: Option<String>,
    /// The file of the interpreter.
    pub(super) interpreter: Option<PathBuf>,
}

/// The script that SERVER names; none if it names something else.
///
/// # Errors
/// Its interpreter is not in PATH.
pub(super) fn find(server: &str, current_dir: &Path, search_path: &[PathBuf]) -> Result<Option<Script>> {
    let Some((_, interpreters)) = KINDS.iter().find(|(ending, _)| server.ends_with(ending)) else {
        return Ok(None);
    };
    let in_path = |name: &str| search_path.iter().map(|dir| dir.join(name)).find(|path| path.is_file());
    if server.contains("://") || (!server.contains('/') && in_path(server).is_some()) {
        return Ok(None);
    }
    // Collecting the components removes single dots.
    let path: PathBuf = current_dir.join(server).components().collect();
    if !path.is_file() {
        return Ok(None);
    }
    let file = path.display().to_string();
    if runs_itself(&path) {
        return Ok(Some(Script { server: file, argument: None, interpreter: None }));
    }
    let found = interpreters.iter().find_map(|name| Some((*name, in_path(name)?)));
    let Some((name, interpreter)) = found else {
        let needed = interpreters.join(" or ");
        let message = format!("'{server}' is a script for {needed}, which is not in PATH");
        return Err(Error::new(ErrorKind::Usage, message)
            .hint("install it, or name the command that runs it: wharf run COMMAND FILE"));
    };
    Ok(Some(Script { server: name.to_owned(), argument: Some(file), interpreter: Some(interpreter) }))
}

/// Whether the system itself finds the interpreter of a file.
fn runs_itself(path: &Path) -> bool {
    let mut first = [0; 2];
    let begins = File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok() && first == *b"#!";
    begins && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    fn place(folder: &Path, name: &str, text: &str, mode: u32) {
        File::create(folder.join(name)).and_then(|mut file| file.write_all(text.as_bytes())).unwrap();
        fs::set_permissions(folder.join(name), Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_script_runs_by_itself_or_with_the_interpreter_of_its_kind() {
        let (here, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (here, bin) = (here.path(), bin.path());
        for interpreter in ["python3", "node", "sh"] {
            place(bin, interpreter, "", 0o755);
        }
        place(here, "plain.py", "print()", 0o644);
        place(here, "own.py", "#!/usr/bin/env python3\n", 0o755);
        place(here, "unmarked.mjs", "#!/usr/bin/env node\n", 0o644);
        place(here, "server.sh", "true", 0o755);
        place(here, "taken.py", "", 0o644);
        place(bin, "taken.py", "", 0o755);
        let found = |server: &str| find(server, here, &[bin.to_owned()]);
        let with = |name: &str, file: &str| {
            let (server, argument) = (name.to_owned(), Some(here.join(file).display().to_string()));
            Some(Script { server, argument, interpreter: Some(bin.join(name)) })
        };
        assert_eq!(found("plain.py").unwrap(), with("python3", "plain.py"));
        assert_eq!(found("./plain.py").unwrap(), with("python3", "plain.py"), "without /./");
        assert_eq!(found("unmarked.mjs").unwrap(), with("node", "unmarked.mjs"));
        assert_eq!(found("server.sh").unwrap(), with("sh", "server.sh"));
        let own =
            Script { server: here.join("own.py").display().to_string(), argument: None, interpreter: None };
        assert_eq!(found("own.py").unwrap(), Some(own));
        for other in ["taken.py", "missing.py", "plain", "uvx://x.py", "ghcr.io/x/y.py"] {
            assert_eq!(found(other).unwrap(), None, "{other}");
        }
        let error = find("plain.py", here, &[]).unwrap_err();
        assert_eq!(error.message, "'plain.py' is a script for python3 or python, which is not in PATH");
    }
}
