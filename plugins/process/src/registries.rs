//! The registries of packages that a user has set up, where the credentials for them stay out of a workload's reach.
//!
//! A tool that does not see such a setting asks the public registry, where anybody may have taken the name of a company's own
//! package. So a package that would be fetched from another registry than its user's is refused, with the way on.
use crate::{environment::has_credentials, package::Tool};
use std::{collections::BTreeMap, path::Path};
use wharf_sdk::{
    Error, Result,
    files::{self, Links},
};

/// The file of a tool's settings, below the user's home.
pub(crate) const fn settings_file(tool: Tool) -> &'static str {
    match tool {
        Tool::Npx => ".npmrc",
        Tool::Uvx => ".config/uv/uv.toml",
    }
}

/// True of settings that hold something like a credential.
pub(crate) fn holds_credentials(text: &str) -> bool {
    let tells = |line: &str| ["_auth", "_password", "password"].iter().any(|part| line.contains(part));
    has_credentials(text) || text.lines().any(tells)
}

/// The variables that name a registry, in small letters. npm's name of any scope has a form of its own.
const REGISTRIES_OF_UV: [&str; 4] = ["uv_index_url", "uv_default_index", "uv_index", "uv_extra_index_url"];
const REGISTRY_OF_NPM: &str = "npm_config_registry";
/// The variables with which a user names a file of settings in the place of the usual one.
const SETTINGS_OF_NPM: &str = "npm_config_userconfig";
const SETTINGS_OF_UV: &str = "uv_config_file";

/// The variables that name an index for pip, and its files of settings below the user's home.
const INDEXES_OF_PIP: [&str; 2] = ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"];
const SETTINGS_OF_PIP: [&str; 2] = [".config/pip/pip.conf", ".pip/pip.conf"];
/// A larger file of settings is not searched.
const MAX_SETTINGS_BYTES: u64 = 1024 * 1024;

fn names_registry(tool: Tool, variable: &str) -> bool {
    let variable = variable.to_ascii_lowercase();
    match tool {
        Tool::Npx => {
            variable == REGISTRY_OF_NPM
                || variable.starts_with("npm_config_@") && variable.ends_with(":registry")
        }
        Tool::Uvx => REGISTRIES_OF_UV.contains(&variable.as_str()),
    }
}

/// True if the user gives the workload a registry, or settings, for it.
fn is_given(tool: Tool, asked: &BTreeMap<String, String>) -> bool {
    asked.keys().any(|variable| {
        let settings = match tool {
            Tool::Npx => SETTINGS_OF_NPM,
            Tool::Uvx => SETTINGS_OF_UV,
        };
        names_registry(tool, variable) || variable.eq_ignore_ascii_case(settings)
    })
}

/// Refuses a package where a variable of the host that names a registry is not passed on, since it holds credentials.
pub(crate) fn refuse_variables(
    tool: Tool,
    mut host: impl Iterator<Item = (String, String)>,
    asked: &BTreeMap<String, String>,
) -> Result<()> {
    let lost = host.find(|(name, value)| names_registry(tool, name) && has_credentials(value));
    let Some((name, _)) = lost.filter(|_| !is_given(tool, asked)) else { return Ok(()) };
    Err(Error::precondition(format!(
        "the variable {name} names a registry for packages and holds credentials, so it is not passed on by itself, and \
         {tool} would ask another registry: give it to the workload, best as a secret with {name} as its target",
        tool = tool.program()
    )))
}

/// Refuses a Python package where pip's settings name an index with credentials, and nothing names one for uv, which reads
/// none of pip's: uv would ask the public index for a company's package. `env`: the workload's variables.
pub(crate) fn refuse_settings_of_pip(
    tool: Tool,
    host: impl Iterator<Item = (String, String)>,
    home: Option<&Path>,
    env: &BTreeMap<String, String>,
) -> Result<()> {
    if tool != Tool::Uvx || env.keys().any(|name| names_registry(tool, name)) || is_given(tool, env) {
        return Ok(());
    }
    let settings = |name: &str| {
        let text = files::read_file(&home?.join(name), Links::Follow, MAX_SETTINGS_BYTES).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    };
    if settings(settings_file(tool)).is_some_and(|text| setting_for(tool, &text, &[]).is_some()) {
        return Ok(());
    }
    let mut host = host;
    let variable =
        host.find(|(name, value)| INDEXES_OF_PIP.contains(&name.as_str()) && has_credentials(value));
    let file =
        || SETTINGS_OF_PIP.into_iter().find(|name| settings(name).is_some_and(|text| has_index(&text)));
    let Some(place) = variable.map(|(name, _)| name).or_else(|| file().map(|name| format!("~/{name}")))
    else {
        return Ok(());
    };
    Err(Error::precondition(format!(
        "pip's settings ({place}) name an index that needs credentials, and uvx, which does not read them, would ask \
         another one: give the workload the index by UV_DEFAULT_INDEX, best as a secret, or \
         UV_DEFAULT_INDEX=https://pypi.org/simple if the package is there"
    )))
}

/// Whether a file of pip's names an index with credentials.
fn has_index(text: &str) -> bool {
    text.lines().filter_map(|line| line.split_once('=')).any(|(key, value)| {
        ["index-url", "extra-index-url", "index_url", "extra_index_url"].contains(&key.trim())
            && has_credentials(value)
    })
}

/// Refuses a package where settings that stay closed name a registry for it. `wanted`: the package, or the arguments that
/// name packages.
pub(crate) fn refuse_settings(
    tool: Tool,
    path: &Path,
    text: &str,
    wanted: &[&str],
    asked: &BTreeMap<String, String>,
) -> Result<()> {
    let Some(setting) = setting_for(tool, text, wanted).filter(|_| !is_given(tool, asked)) else {
        return Ok(());
    };
    let (path, program) = (path.display(), tool.program());
    Err(Error::precondition(format!(
        "'{path}' names a registry for this package ('{setting}') and stays closed, since it holds credentials or is a \
         link; {program} would ask another registry: open it with a --permission-profile whose 'read' has {path}, or give \
         the workload a registry by {variable}",
        variable = match tool {
            Tool::Npx => REGISTRY_OF_NPM,
            Tool::Uvx => "UV_DEFAULT_INDEX",
        }
    )))
}

/// The name of the setting by which these packages come from another registry than the public one.
fn setting_for(tool: Tool, text: &str, wanted: &[&str]) -> Option<String> {
    match tool {
        Tool::Npx => text.lines().filter_map(|line| line.split_once('=')).find_map(|(key, value)| {
            let (key, value) = (key.trim(), value.trim().trim_matches('"'));
            let is_meant = match key.strip_suffix(":registry") {
                Some(scope) => wanted.iter().any(|package| has_scope(package, scope)),
                None => key == "registry" && !is_public(value),
            };
            is_meant.then(|| key.to_owned())
        }),
        Tool::Uvx => text.lines().find_map(|line| {
            let line = line.trim();
            let key = line.split_once('=').map_or(line, |(key, _)| key.trim());
            ["index-url", "extra-index-url", "index", "[[index]]"].contains(&key).then(|| key.to_owned())
        }),
    }
}

fn is_public(registry: &str) -> bool {
    let rest = registry.strip_prefix("https://").or_else(|| registry.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.trim_end_matches('/') == "registry.npmjs.org")
}

/// True of a package of this scope, and of an argument that names one.
fn has_scope(argument: &str, scope: &str) -> bool {
    let package = argument.rsplit('=').next().unwrap_or(argument);
    scope.starts_with('@') && package.strip_prefix(scope).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_A_COMPANY: &str =
        "@corp:registry=https://npm.corp.example/\n//npm.corp.example/:_authToken=t0ken\n";

    fn refused(tool: Tool, text: &str, wanted: &[&str], asked: &[&str]) -> String {
        let asked = asked.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        let refused = refuse_settings(tool, Path::new("/home/u/file"), text, wanted, &asked);
        refused.err().map(|error| error.message).unwrap_or_default()
    }

    #[test]
    fn a_package_of_a_scope_whose_registry_needs_a_token_is_asked_of_no_other() {
        for wanted in [&["@corp/server"][..], &["-y", "@corp/server@1"], &["--package=@corp/server", "run"]] {
            let said = refused(Tool::Npx, OF_A_COMPANY, wanted, &[]);
            assert!(said.contains("'@corp:registry'") && said.contains("another registry"), "{said}");
            assert!(!said.contains("t0ken"), "{said}");
        }
        for wanted in ["@corporation/x", "@other/corp", "server"] {
            assert_eq!(refused(Tool::Npx, OF_A_COMPANY, &[wanted], &[]), "");
        }
        assert_eq!(refused(Tool::Npx, OF_A_COMPANY, &["@corp/x"], &["npm_config_@corp:registry"]), "");
        assert_eq!(refused(Tool::Npx, OF_A_COMPANY, &["@corp/x"], &["NPM_CONFIG_USERCONFIG"]), "");
    }

    #[test]
    fn a_registry_for_all_packages_counts_unless_it_is_the_public_one() {
        let own = "registry = https://npm.corp.example/\n_auth=x\n";
        assert!(refused(Tool::Npx, own, &["server"], &[]).contains("'registry'"));
        let public = "registry=https://registry.npmjs.org/\n//registry.npmjs.org/:_authToken=t\n";
        assert_eq!(refused(Tool::Npx, public, &["server"], &[]), "");
        assert_eq!(refused(Tool::Npx, "//registry.npmjs.org/:_authToken=t\n", &["server"], &[]), "");
    }

    #[test]
    fn an_index_of_uv_with_a_password_is_not_replaced_by_the_public_one() {
        for text in [
            "index-url = \"https://u:p@pypi.corp.example/simple\"\n",
            "[[index]]\nurl = \"https://u:p@pypi.corp.example/simple\"\n",
        ] {
            assert!(holds_credentials(text));
            assert!(refused(Tool::Uvx, text, &["server"], &[]).contains("UV_DEFAULT_INDEX"), "{text}");
            assert_eq!(refused(Tool::Uvx, text, &["server"], &["UV_INDEX_URL"]), "");
        }
        assert_eq!(refused(Tool::Uvx, "python-preference = \"system\"\n", &["server"], &[]), "");
    }

    #[test]
    fn a_variable_that_names_a_registry_and_is_not_passed_on_is_told() {
        let host = |name: &str, value: &str| std::iter::once((name.to_owned(), value.to_owned()));
        let none = BTreeMap::new();
        let with_password = "https://u:p4ss@r.example/";
        for (tool, name) in [
            (Tool::Npx, "npm_config_registry"),
            (Tool::Npx, "NPM_CONFIG_REGISTRY"),
            (Tool::Npx, "npm_config_@corp:registry"),
            (Tool::Uvx, "UV_INDEX_URL"),
            (Tool::Uvx, "UV_DEFAULT_INDEX"),
        ] {
            let said = refuse_variables(tool, host(name, with_password), &none).unwrap_err().message;
            assert!(said.contains(name) && !said.contains("p4ss"), "{said}");
            let given = BTreeMap::from([(name.to_owned(), with_password.to_owned())]);
            assert!(refuse_variables(tool, host(name, with_password), &given).is_ok());
            assert!(refuse_variables(tool, host(name, "https://r.example/"), &none).is_ok());
        }
        assert!(refuse_variables(Tool::Npx, host("UV_INDEX_URL", with_password), &none).is_ok());
    }

    #[test]
    fn an_index_of_pip_with_a_password_is_not_replaced_by_the_public_one() {
        let home = tempfile::tempdir().unwrap();
        let none = BTreeMap::new();
        let refused = |host: &[(&str, &str)], env: &BTreeMap<String, String>, tool| {
            let host = host.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let refused = refuse_settings_of_pip(tool, host, Some(home.path()), env);
            refused.err().map(|error| error.message).unwrap_or_default()
        };
        let variable = [("PIP_EXTRA_INDEX_URL", "https://u:p4ss@pypi.corp.example/simple")];
        let said = refused(&variable, &none, Tool::Uvx);
        assert!(said.contains("PIP_EXTRA_INDEX_URL") && said.contains("UV_DEFAULT_INDEX"), "{said}");
        assert!(!said.contains("p4ss"), "{said}");
        assert_eq!(refused(&variable, &none, Tool::Npx), "");
        assert_eq!(refused(&[("PIP_INDEX_URL", "https://pypi.corp.example/simple")], &none, Tool::Uvx), "");
        std::fs::create_dir_all(home.path().join(".config/pip")).unwrap();
        let write = |name: &str, text: &str| {
            use std::io::Write;
            std::fs::File::create(home.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
        };
        write(".config/pip/pip.conf", "[global]\nindex-url = https://u:p4ss@pypi.corp.example/simple\n");
        assert!(refused(&[], &none, Tool::Uvx).contains("~/.config/pip/pip.conf"));
        // Who has told uv which index to ask has decided.
        let given = BTreeMap::from([("UV_DEFAULT_INDEX".to_owned(), "https://pypi.org/simple".to_owned())]);
        assert_eq!(refused(&[], &given, Tool::Uvx), "");
        std::fs::create_dir_all(home.path().join(".config/uv")).unwrap();
        write(".config/uv/uv.toml", "index-url = \"https://pypi.corp.example/simple\"\n");
        assert_eq!(refused(&[], &none, Tool::Uvx), "");
    }
}
