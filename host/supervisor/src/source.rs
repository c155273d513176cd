//! Parses SERVER, the argument of `run`: an image, a package or a command.
use std::path::{Path, PathBuf};
use wharf_sdk::Source;

/// The reason why a SERVER cannot be run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// It is empty.
    #[error("SERVER is empty; it is an npx:// or uvx:// package, or a command")]
    Empty,
    /// An unknown scheme.
    #[error("'{scheme}://' is not supported; SERVER is an npx:// or uvx:// package, or a command")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A package without a name.
    #[error("'{server}' names no package; write for instance uvx://mcp-server-time")]
    NoPackage {
        /// The text that was given.
        server: String,
    },
    /// A URL.
    #[error("'{server}' is a remote server, and this version of wharf runs local ones only")]
    Remote {
        /// The text that was given.
        server: String,
    },
}

/// The folders in which a SERVER is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The folder from which relative paths are resolved.
    pub current_dir: &'a Path,
    /// The folders of commands.
    pub search_path: &'a [PathBuf],
}

/// The source that a SERVER names, and the text to record: paths are made absolute, since supervisors run in another
/// folder.
///
/// A name is an image if it is neither a path to a file nor a command in PATH.
pub fn parse(server: &str, surroundings: Surroundings<'_>) -> Result<(Source, String), ServerError> {
    if server.trim().is_empty() {
        return Err(ServerError::Empty);
    }
    if let Some((scheme, rest)) = server.split_once("://") {
        let source = package(server, scheme, rest)?;
        return Ok((source, server.to_owned()));
    }
    let is_file = || server.contains('/') && surroundings.current_dir.join(server).is_file();
    if server.starts_with(['/', '.']) || is_file() {
        // Collecting the components removes single dots.
        let program: PathBuf = surroundings.current_dir.join(server).components().collect();
        let program = program.display().to_string();
        return Ok((Source::Command { program: program.clone() }, program));
    }
    let is_command =
        !server.contains('/') && surroundings.search_path.iter().any(|dir| dir.join(server).is_file());
    let source = if is_command {
        Source::Command { program: server.to_owned() }
    } else {
        Source::Image { reference: server.to_owned() }
    };
    Ok((source, server.to_owned()))
}

fn package(server: &str, scheme: &str, rest: &str) -> Result<Source, ServerError> {
    match scheme {
        "npx" | "uvx" if rest.is_empty() => Err(ServerError::NoPackage { server: server.to_owned() }),
        "npx" | "uvx" => Ok(Source::Package { tool: scheme.to_owned(), package: rest.to_owned() }),
        "http" | "https" => Err(ServerError::Remote { server: server.to_owned() }),
        other => Err(ServerError::Scheme { scheme: other.to_owned() }),
    }
}

/// A name for a workload, derived from its SERVER: the last part without version, shortened to the length of names.
pub fn base_name(server: &str) -> String {
    const LONGEST: usize = 40;
    let last = server.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let unversioned = last.split(['@', ':']).next().unwrap_or_default();
    let endings = [".py", ".mjs", ".js", ".ts", ".sh"];
    let stem = endings.iter().find_map(|ending| unversioned.strip_suffix(ending)).unwrap_or(unversioned);
    let mut name = String::new();
    for c in stem.to_ascii_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(LONGEST);
    let name = name.trim_end_matches('-');
    if name.is_empty() { "workload" } else { name }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(server: &str) -> Result<(Source, String), ServerError> {
        parse(server, Surroundings { current_dir: Path::new("/here"), search_path: &[PathBuf::from("/bin")] })
    }

    #[test]
    fn each_kind_of_server_argument_is_recognised() {
        let cases = [
            ("uvx://mcp-server-time", "package"),
            ("npx://@modelcontextprotocol/server-everything@1", "package"),
            ("./server", "command"),
            ("/usr/bin/server", "command"),
            ("sh", "command"),
            ("ghcr.io/example/time:1", "image"),
            ("no-such-command-at-all", "image"),
        ];
        for (server, kind) in cases {
            assert_eq!(parsed(server).unwrap().0.kind(), kind, "{server}");
        }
    }

    #[test]
    fn a_relative_path_is_recorded_as_an_absolute_one() {
        assert_eq!(parsed("./bin/x").unwrap().1, "/here/bin/x");
    }

    #[test]
    fn a_server_argument_that_cannot_be_run_is_refused_with_the_reason() {
        assert_eq!(parsed(""), Err(ServerError::Empty));
        assert!(matches!(parsed("ftp://x"), Err(ServerError::Scheme { .. })));
        assert!(matches!(parsed("uvx://"), Err(ServerError::NoPackage { .. })));
        assert!(matches!(parsed("https://example.com/mcp"), Err(ServerError::Remote { .. })));
    }

    #[test]
    fn names_are_made_from_servers() {
        let cases = [
            ("uvx://mcp-server-time@1.2", "mcp-server-time"),
            ("npx://@modelcontextprotocol/server-everything", "server-everything"),
            ("/opt/My Server.py", "my-server"),
            ("tool.mjs", "tool"),
            ("ghcr.io/example/time:1", "time"),
            ("/x", "x"),
            ("/___", "workload"),
        ];
        for (server, name) in cases {
            assert_eq!(base_name(server), name);
        }
    }
}
