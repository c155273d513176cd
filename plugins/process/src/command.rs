//! From a source to a program on this machine.
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use wharf_sdk::{Error, ErrorCode, Result, Source, WorkloadSpec};

/// A program with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
}

/// Finds the program of a workload, in the PATH that it will have. Makes no change to anything.
pub(crate) fn resolve(spec: &WorkloadSpec, path: &str) -> Result<Command> {
    match &spec.source {
        Source::Command { program } => Ok(Command { program: find(program, path)?, args: spec.args.clone() }),
        Source::Package { tool, package } => package_command(tool, package, &spec.args, path),
        Source::Image { reference } => Err(Error::unsupported(
            "source",
            format!("the runtime 'process' runs no images such as '{reference}'"),
        )),
    }
}

fn package_command(tool: &str, package: &str, args: &[String], path: &str) -> Result<Command> {
    check_package(tool, package)?;
    let (options, remedy): (&[&str], _) = match tool {
        // Without `--yes` npx would ask, with nobody to answer.
        "npx" => (&["--yes", "--"], "install Node.js, which brings npx"),
        "uvx" => (&["--"], "install uv, which brings uvx: pip install uv"),
        other => {
            return Err(Error::unsupported("source", format!("packages of '{other}' cannot be run here")));
        }
    };
    let program = find(tool, path).map_err(|error| match error.code {
        ErrorCode::NotFound => {
            Error::not_found(format!("{tool}://{package} needs {tool}, and it is not in PATH; {remedy}"))
        }
        _ => error,
    })?;
    let mut all: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    all.push(package.to_owned());
    all.extend_from_slice(args);
    Ok(Command { program, args: all })
}

/// A package's name with its version: nothing that the tool could take for an option, a path or a URL.
fn check_package(tool: &str, package: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "@/._-~^<>=!+[],*".contains(c);
    let is_path = package.starts_with(['.', '/', '-']) || package.contains("..") || package.contains("//");
    if package.is_empty() || package.len() > 214 || is_path || !package.chars().all(fine) {
        return Err(Error::invalid(format!(
            "'{}' is no name of a package for {tool}",
            package.escape_debug()
        )));
    }
    Ok(())
}

/// A path is taken as it is; a bare name is looked up.
fn find(program: &str, path: &str) -> Result<PathBuf> {
    if program.contains('/') {
        let program = PathBuf::from(program);
        if program.is_relative() {
            return Err(Error::invalid(format!("'{}' is not an absolute path", program.display())));
        }
        return check_executable(&program).map(|()| program);
    }
    if program.is_empty() || program.contains('\0') {
        return Err(Error::invalid("the command is empty"));
    }
    let candidates =
        path.split(':').filter(|dir| dir.starts_with('/')).map(|dir| Path::new(dir).join(program));
    let mut refused = None;
    for candidate in candidates {
        match check_executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) if error.code == ErrorCode::PermissionDenied => refused = Some(error),
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| {
        Error::not_found(format!(
            "the command '{program}' was not found in PATH; give its path, or install it"
        ))
    }))
}

fn check_executable(program: &Path) -> Result<()> {
    let shown = program.display();
    let metadata = std::fs::metadata(program).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(format!("{shown} does not exist")),
        _ => Error::io(&shown.to_string(), &error),
    })?;
    if metadata.is_dir() {
        return Err(Error::invalid(format!("{shown} is a directory, and no program")));
    }
    if !metadata.is_file() {
        return Err(Error::invalid(format!("{shown} is no regular file")));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        let message = format!("{shown} is not executable; run: chmod +x {shown}");
        return Err(Error::new(ErrorCode::PermissionDenied, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(program: &str) -> ErrorCode {
        find(program, "/bin:/usr/bin").unwrap_err().code
    }

    #[test]
    fn programs_are_found_or_it_is_said_why_not() {
        assert_eq!(find("sh", "/nowhere:/bin").unwrap(), Path::new("/bin/sh"));
        assert_eq!(code("no-such-command-at-all"), ErrorCode::NotFound);
        assert_eq!(code("/no/such/file"), ErrorCode::NotFound);
        assert_eq!(code("/tmp"), ErrorCode::InvalidArgument);
        assert_eq!(code("/etc/passwd"), ErrorCode::PermissionDenied);
        assert_eq!(code("./sh"), ErrorCode::InvalidArgument);
    }

    #[test]
    fn a_package_cannot_become_an_option_or_a_path() {
        for wrong in ["--call=sh", "../x", "/x", "./x", "a b", "a;b", "", "git+https://x//y", "x\n"] {
            assert!(check_package("npx", wrong).is_err(), "{wrong:?}");
        }
        for fine in ["mcp-server-time", "@scope/name@1.2.3", "name@latest", "pkg[extra]==1.0"] {
            assert!(check_package("uvx", fine).is_ok(), "{fine:?}");
        }
    }

    #[test]
    fn a_missing_tool_is_named_with_the_way_to_get_it() {
        let error = package_command("uvx", "mcp-server-time", &[], "/nowhere").unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert!(error.message.contains("pip install uv"), "{error}");
    }
}
