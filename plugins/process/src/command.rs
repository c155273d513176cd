//! Finds the program to execute for a source, and its arguments. [`crate::deploy`] uses it.
use crate::package::Tool;
use rustix::fs::{Access, access};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use wharf_sdk::{Error, Result, Source};

/// The program to execute, with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// The program, as an absolute path.
    pub(crate) program: PathBuf,
    /// All of its arguments.
    pub(crate) args: Vec<String>,
    /// The name that was searched in PATH, if the source gave no path.
    pub(crate) searched: Option<String>,
}

/// Resolves a source. `env` is the workload's environment; its `PATH` is searched.
pub(crate) fn resolve(source: &Source, args: &[String], env: &BTreeMap<String, String>) -> Result<Resolved> {
    let path = env.get("PATH").map_or("", String::as_str);
    match source {
        Source::Command { program } => {
            let searched = (!program.contains('/')).then(|| program.clone());
            let program = if searched.is_some() { in_path(program, path)? } else { at(program)? };
            Ok(Resolved { program, args: args.to_vec(), searched })
        }
        Source::Package { tool, package } => {
            let tool = Tool::named(tool)?;
            let mut all = tool.arguments(package)?;
            all.extend_from_slice(args);
            let program = find(tool.program(), path).ok_or_else(|| {
                Error::not_found(format!(
                    "'{}' is needed to run this package and was not found in PATH; {}",
                    tool.program(),
                    tool.remedy()
                ))
            })?;
            Ok(Resolved { program, args: all, searched: Some(tool.program().to_owned()) })
        }
        Source::Image { .. } => Err(Error::unsupported(
            "source",
            "the runtime 'process' runs commands and packages; an image needs a container runtime",
        )),
    }
}

fn at(program: &str) -> Result<PathBuf> {
    let path = Path::new(program);
    if !path.is_absolute() {
        return Err(Error::invalid(format!(
            "the command '{program}' is a relative path; give an absolute one"
        )));
    }
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::not_found(format!("the command '{program}' does not exist")))
        }
        Err(error) => Err(Error::io(&format!("the command '{program}' cannot be used"), &error)),
        Ok(metadata) if metadata.is_dir() => {
            Err(Error::invalid(format!("the command '{program}' is a directory")))
        }
        Ok(metadata) if !metadata.is_file() => {
            Err(Error::invalid(format!("the command '{program}' is no regular file")))
        }
        Ok(_) if !may_execute(path) => Err(Error::new(
            wharf_sdk::ErrorCode::PermissionDenied,
            format!("the command '{program}' is not executable; 'chmod +x' makes it so"),
        )),
        Ok(_) => Ok(path.to_owned()),
    }
}

fn in_path(program: &str, path: &str) -> Result<PathBuf> {
    if program.is_empty() {
        return Err(Error::invalid("the command is empty"));
    }
    find(program, path).ok_or_else(|| {
        Error::not_found(format!(
            "command '{program}' not found in PATH; install it, give its absolute path, or set PATH for the workload"
        ))
    })
}

/// Searches PATH. Relative entries are passed over: they would mean another program in another folder.
fn find(program: &str, path: &str) -> Option<PathBuf> {
    find_among(program, &std::env::split_paths(path).collect::<Vec<_>>())
}

/// The same for the folders of a search path.
pub(crate) fn find_among(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let absolute = folders.iter().filter(|folder| folder.is_absolute());
    absolute.map(|folder| folder.join(program)).find(|candidate| is_program(candidate))
}

/// Whether this file can be executed.
pub(crate) fn is_program(path: &Path) -> bool {
    path.is_file() && may_execute(path)
}

fn may_execute(path: &Path) -> bool {
    access(path, Access::EXEC_OK).is_ok()
}

/// The interpreter in a script's first line, if it is missing: then exec(2) reports "not found" for a script that exists.
pub(crate) fn missing_interpreter(program: &Path) -> Option<String> {
    let line = interpreter_line(program)?;
    line.split_whitespace().next().map(|interpreter| interpreter.escape_default().to_string())
}

/// The interpreter that a script's first line has `env` search in PATH: `#!/usr/bin/env python3`, also with `-S` and with
/// variables before it.
pub(crate) fn interpreter_by_name(program: &Path) -> Option<String> {
    let line = interpreter_line(program)?;
    let mut words = line.split_whitespace();
    (Path::new(words.next()?).file_name()? == "env").then_some(())?;
    let mut words = words.map(|word| word.strip_prefix("-S").unwrap_or(word));
    let name = words.find(|word| !word.is_empty() && !word.contains('=') && !word.starts_with('-'))?;
    (!name.contains('/')).then(|| name.to_owned())
}

/// A script's first line behind `#!`.
fn interpreter_line(program: &Path) -> Option<String> {
    use std::io::Read;
    // The kernel reads no more than this of the first line, BINPRM_BUF_SIZE in execve(2).
    const MAX_FIRST_LINE_BYTES: u64 = 256;
    let mut start = Vec::new();
    std::fs::File::open(program).ok()?.take(MAX_FIRST_LINE_BYTES).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;
    use wharf_sdk::ErrorCode;

    fn file(folder: &Path, name: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).unwrap();
        path
    }

    fn command(program: impl Into<String>, path: &str) -> Result<Resolved> {
        let env = BTreeMap::from([("PATH".to_owned(), path.to_owned())]);
        resolve(&Source::Command { program: program.into() }, &["x".to_owned()], &env)
    }

    #[test]
    fn each_reason_why_a_command_is_no_program_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let plain = file(folder.path(), "plain", 0o644);
        let of = |path: &Path| command(path.to_str().unwrap(), "").unwrap_err();
        assert_eq!(of(&folder.path().join("none")).code, ErrorCode::NotFound);
        assert!(of(folder.path()).message.contains("is a directory"));
        let error = of(&plain);
        assert_eq!(error.code, ErrorCode::PermissionDenied);
        assert!(error.message.contains("not executable"));
        assert!(command("bin/x", "").unwrap_err().message.contains("relative"));
        assert!(of(Path::new("/dev/null")).message.contains("no regular file"));
    }

    #[test]
    fn a_name_is_the_first_executable_of_an_absolute_folder_in_path() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1"), folder.path().join("2"));
        std::fs::create_dir_all(first.join("tool")).unwrap();
        std::fs::create_dir(&second).unwrap();
        let expected = file(&second, "tool", 0o755);
        let path = format!(".:{}:{}", first.display(), second.display());
        assert_eq!(
            command("tool", &path).unwrap(),
            Resolved { program: expected, args: vec!["x".to_owned()], searched: Some("tool".to_owned()) }
        );
        let error = command("none", &path).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert!(error.message.starts_with("command 'none' not found in PATH"), "{error}");
    }

    #[test]
    fn a_missing_tool_is_named_with_the_way_to_get_it() {
        let source = Source::Package { tool: "uvx".to_owned(), package: "a@1".to_owned() };
        let error = resolve(&source, &[], &BTreeMap::new()).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert!(error.message.contains("uvx") && error.message.contains("pip install uv"), "{error}");
    }

    #[test]
    fn arguments_of_a_package_come_after_it() {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), "npx", 0o755);
        let env = BTreeMap::from([("PATH".to_owned(), folder.path().to_str().unwrap().to_owned())]);
        let source = Source::Package { tool: "npx".to_owned(), package: "@s/a@1".to_owned() };
        let resolved = resolve(&source, &["--flag".to_owned()], &env).unwrap();
        assert_eq!(resolved.args, ["--yes", "@s/a@1", "--flag"]);
    }
}
