//! The list of servers, `tests/servers.json`: packages that start without credentials, each in one version.
use crate::Result;
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

const LIST: &str = include_str!("../../../servers.json");
/// Stands in arguments and variables for a folder of the server's own, which it may write.
const FOLDER: &str = "{folder}";

/// The registry of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ecosystem {
    Npm,
    Pypi,
}

/// One server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) ecosystem: Ecosystem,
    pub(crate) package: String,
    pub(crate) version: String,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

/// All servers, in the order of the list.
pub(crate) fn servers() -> Result<Vec<Server>> {
    Ok(serde_json::from_str(LIST).map_err(|error| format!("tests/servers.json: {error}"))?)
}

impl Server {
    /// The program that starts it without wharf.
    pub(crate) fn program(&self) -> &'static str {
        match self.ecosystem {
            Ecosystem::Npm => "npx",
            Ecosystem::Pypi => "uvx",
        }
    }

    /// The arguments of that program before the server's own.
    pub(crate) fn package_arguments(&self) -> Vec<String> {
        let Self { package, version, .. } = self;
        match self.ecosystem {
            Ecosystem::Npm => vec!["-y".to_owned(), format!("{package}@{version}")],
            Ecosystem::Pypi => vec![format!("{package}=={version}")],
        }
    }

    /// What `wharf run` calls it.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}@{}", self.program(), self.package, self.version)
    }

    /// Its arguments, with this folder.
    pub(crate) fn arguments(&self, folder: &Path) -> Vec<String> {
        self.arguments.iter().map(|argument| filled(argument, folder)).collect()
    }

    /// Its variables, with this folder.
    pub(crate) fn environment(&self, folder: &Path) -> Vec<(String, String)> {
        self.environment.iter().map(|(name, value)| (name.clone(), filled(value, folder))).collect()
    }

    /// Whether it is told of the folder, which has to be opened to it then.
    pub(crate) fn has_folder(&self) -> bool {
        self.arguments.iter().chain(self.environment.values()).any(|text| text.contains(FOLDER))
    }
}

fn filled(text: &str, folder: &Path) -> String {
    text.replace(FOLDER, &folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_list_has_many_servers_of_both_registries_each_once_and_in_one_version() {
        let servers = servers().unwrap();
        assert!(servers.len() >= 40, "{}", servers.len());
        for ecosystem in [Ecosystem::Npm, Ecosystem::Pypi] {
            assert!(servers.iter().filter(|server| server.ecosystem == ecosystem).count() >= 10);
        }
        let names: BTreeSet<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        let urls: BTreeSet<String> = servers.iter().map(Server::url).collect();
        assert_eq!((names.len(), urls.len()), (servers.len(), servers.len()));
        for Server { name, version, .. } in &servers {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
            assert!(!name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain), "{name}");
            let is_pinned = version.starts_with(|c: char| c.is_ascii_digit())
                && version.chars().all(|c| is_plain(c) || c == '+');
            assert!(is_pinned, "{name}: {version}");
        }
    }

    #[test]
    fn a_server_has_a_command_without_wharf_and_a_name_for_wharf() {
        let of = |ecosystem, package: &str| Server {
            name: "x".to_owned(),
            ecosystem,
            package: package.to_owned(),
            version: "1.2".to_owned(),
            arguments: vec!["--at={folder}/x".to_owned()],
            environment: [("PLACE".to_owned(), "{folder}".to_owned())].into(),
        };
        let npm = of(Ecosystem::Npm, "@s/a");
        assert_eq!(npm.package_arguments(), ["-y", "@s/a@1.2"]);
        assert_eq!((npm.program(), npm.url()), ("npx", "npx://@s/a@1.2".to_owned()));
        let pypi = of(Ecosystem::Pypi, "b");
        assert_eq!(pypi.package_arguments(), ["b==1.2"]);
        assert_eq!((pypi.program(), pypi.url()), ("uvx", "uvx://b@1.2".to_owned()));
        let folder = Path::new("/f");
        assert_eq!(npm.arguments(folder), ["--at=/f/x"]);
        assert_eq!(npm.environment(folder), [("PLACE".to_owned(), "/f".to_owned())]);
        assert!(npm.has_folder());
    }
}
