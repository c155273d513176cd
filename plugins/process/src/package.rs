//! Packages of registries, which the registry's own tool fetches and runs.
//!
//! The form of a package is checked strictly: it becomes an argument, and must be neither an option nor another thing that
//! these tools would fetch and run (a path, a URL, a repository).
use sha2::{Digest, Sha256};
use std::path::Path;
use wharf_sdk::{Error, Result, Source};

/// The number of a digest's bytes in the name of a folder.
const FOLDER_BYTES: usize = 16;

/// A tool that fetches and runs packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// The tool of npm.
    Npx,
    /// The tool of uv.
    Uvx,
}

impl Tool {
    /// The tool with this name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        match name {
            "npx" => Ok(Self::Npx),
            "uvx" => Ok(Self::Uvx),
            other => Err(Error::unsupported(
                "source.tool",
                format!(
                    "packages of '{other}' are not supported by the runtime 'process'; it knows npx and uvx"
                ),
            )),
        }
    }

    /// The tool of a source, and what its packages are kept under: the package; or the arguments of a command that is the
    /// tool itself, as clients' configurations have it (`npx -y -p PACKAGE COMMAND`, `uvx --from PACKAGE COMMAND`).
    pub(crate) fn of(source: &Source, args: &[String]) -> Result<Option<(Self, String)>> {
        Ok(match source {
            Source::Package { tool, package } => Some((Self::named(tool)?, package.clone())),
            Source::Command { program } => {
                let name = Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or_default();
                Self::named(name).ok().map(|tool| (tool, format!("\n{}", args.join("\n"))))
            }
            Source::Image { .. } => None,
        })
    }

    /// The program.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Npx => "npx",
            Self::Uvx => "uvx",
        }
    }

    /// How to install it.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Npx => "install Node.js, which brings it",
            Self::Uvx => "install uv, which brings it: 'pip install uv', or your distribution's package",
        }
    }

    /// The variables for the folders in which the tool keeps what it fetches, each with wharf's name for the folder.
    pub(crate) const fn folders(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Npx => &[("npm_config_cache", "npm")],
            Self::Uvx => &[
                ("UV_CACHE_DIR", "uv/cache"),
                ("UV_PYTHON_INSTALL_DIR", "uv/python"),
                ("UV_TOOL_DIR", "uv/tools"),
            ],
        }
    }

    /// The name of a package's own folder. Each package has one, so that no package runs files that another one has
    /// written.
    pub(crate) fn folder_of(self, package: &str) -> String {
        let digest = Sha256::digest(format!("{} {package}", self.program()));
        digest.iter().take(FOLDER_BYTES).fold(String::new(), |name, byte| name + &format!("{byte:02x}"))
    }

    /// The variable that keeps the tool from asking on stdin whether it may fetch a package: stdin is the protocol's.
    pub(crate) const fn unasked(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Npx => Some(("npm_config_yes", "true")),
            Self::Uvx => None,
        }
    }

    /// The variable that tells the tool that there is no network. It then uses the packages that it has, and does not look
    /// for newer ones.
    pub(crate) const fn offline(self) -> (&'static str, &'static str) {
        match self {
            Self::Npx => ("npm_config_offline", "true"),
            Self::Uvx => ("UV_OFFLINE", "1"),
        }
    }

    /// The arguments before the package's own.
    pub(crate) fn arguments(self, package: &str) -> Result<Vec<String>> {
        let is_valid = match self {
            Self::Npx => is_npm(package),
            Self::Uvx => is_python(package),
        };
        if !is_valid {
            return Err(Error::invalid(format!(
                "'{}' is no package for {}: expected {}",
                package.escape_default(),
                self.program(),
                match self {
                    Self::Npx => "NAME, @SCOPE/NAME or either with @VERSION",
                    Self::Uvx => "NAME or NAME@VERSION",
                }
            )));
        }
        Ok(match self {
            // Without `--yes`, npx would ask on stdin, which belongs to the protocol.
            Self::Npx => vec!["--yes".to_owned(), package.to_owned()],
            Self::Uvx => vec![package.to_owned()],
        })
    }
}

/// The longest name with its version; npm's own limit for a name is 214.
const MAX_PACKAGE_BYTES: usize = 300;

/// `[@scope/]name[@version]`; the version may be a tag or a range without spaces.
fn is_npm(package: &str) -> bool {
    let (scope, rest) = match package.strip_prefix('@') {
        Some(scoped) => match scoped.split_once('/') {
            Some((scope, rest)) => (Some(scope), rest),
            None => return false,
        },
        None => (None, package),
    };
    let (name, version) = with_version(rest);
    package.len() <= MAX_PACKAGE_BYTES
        && scope.is_none_or(|scope| is_name(scope, "._~-"))
        && is_name(name, "._~-")
        && version.is_none_or(|version| is_version(version, ".-+_~^*=<>|"))
}

/// `name[extras][@version]`, the name by the rule of PEP 508.
fn is_python(package: &str) -> bool {
    let (base, version) = with_version(package);
    let (name, extras) = match base.strip_suffix(']') {
        Some(open) => match open.split_once('[') {
            Some((name, extras)) => (name, Some(extras)),
            None => return false,
        },
        None => (base, None),
    };
    package.len() <= MAX_PACKAGE_BYTES
        && is_name(name, "._-")
        && extras.is_none_or(|extras| extras.split(',').all(|extra| is_name(extra, "._-")))
        && version.is_none_or(|version| is_version(version, ".-+_!"))
}

fn with_version(text: &str) -> (&str, Option<&str>) {
    match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    }
}

fn is_name(text: &str, besides: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && is_made_of(text, besides)
}

fn is_version(text: &str, besides: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && is_made_of(text, besides)
}

fn is_made_of(text: &str, besides: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || besides.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_npm_have_scopes_and_versions() {
        for good in ["a", "a@1.2.3", "@s/a", "@s/a@latest", "@s/a@^1.0.0-rc.1", "left.pad@1.x", "a@*"] {
            assert_eq!(Tool::Npx.arguments(good).unwrap(), ["--yes", good]);
        }
    }

    #[test]
    fn a_package_name_that_is_an_option_path_or_url_is_refused() {
        for bad in [
            "",
            "-p",
            "--call=x",
            "@-s/a",
            "@s",
            "@s/",
            "@/a",
            "a b",
            "a@",
            "a@-x",
            "./a",
            "../a",
            "/a",
            "a/b",
            "a@file:x",
            "git+https://x",
            "npm:a",
            "a@npm:b",
            ".a",
            "a\n",
            "a;b",
            "@s/a/b",
            "a@1@2",
        ] {
            assert!(Tool::Npx.arguments(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "", "-x", "--from", "a b", "a@", "a@-1", "a@git:x", "./a", "a/b", "@s/a", "a[", "a[]", "a[b]c",
            "a@1 2", "a==1", "_a",
        ] {
            assert!(Tool::Uvx.arguments(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn packages_of_python_have_extras_and_versions() {
        for good in ["a", "mcp-server-time", "a@1.2", "a@latest", "a[b,c]@1.0+l", "A.b_c@1!2"] {
            assert_eq!(Tool::Uvx.arguments(good).unwrap(), [good]);
        }
    }

    #[test]
    fn a_command_that_is_the_tool_itself_is_kept_by_all_of_its_arguments() {
        let command = |program: &str, args: &[&str]| {
            let source = Source::Command { program: program.to_owned() };
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            Tool::of(&source, &args).unwrap()
        };
        let (tool, from) = command("/usr/bin/uvx", &["--from", "a[b]", "other"]).unwrap();
        assert_eq!(tool, Tool::Uvx);
        let (_, git) = command("uvx", &["--from", "git+https://x/a", "other"]).unwrap();
        let (_, plain) = command("uvx", &["a"]).unwrap();
        let package = Source::Package { tool: "uvx".to_owned(), package: "a".to_owned() };
        let (_, packaged) = Tool::of(&package, &[]).unwrap().unwrap();
        let folders = [from, git, plain, packaged].map(|key| Tool::Uvx.folder_of(&key));
        assert!(
            folders.iter().enumerate().all(|(at, folder)| !folders[..at].contains(folder)),
            "{folders:?}"
        );
        assert!(command("/usr/bin/node", &["x"]).is_none());
    }

    #[test]
    fn packages_tools_and_versions_have_folders_of_their_own() {
        let folders = [
            Tool::Uvx.folder_of("a"),
            Tool::Npx.folder_of("a"),
            Tool::Npx.folder_of("a@1"),
            Tool::Npx.folder_of("@a/a"),
        ];
        for (at, folder) in folders.iter().enumerate() {
            assert!(folder.len() == 32 && !folders[..at].contains(folder), "{folders:?}");
        }
    }

    #[test]
    fn an_unknown_tool_is_unsupported_by_name() {
        let error = Tool::named("bunx").unwrap_err();
        assert_eq!(error.code, wharf_sdk::ErrorCode::Unsupported);
        assert!(error.message.contains("bunx"));
    }
}
