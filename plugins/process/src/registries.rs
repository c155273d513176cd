//! The registries of packages that a user has set up, where the credentials for them stay out of a workload's reach.
//!
//! A tool that does not see such a setting asks the public registry, where anybody may have taken the name of a company's own
//! package. So a package that would be fetched from another registry than its user's is refused, with the way on.
use crate::{environment::has_credentials, package::Tool};
use std::{collections::BTreeMap, path::Path};
use wharf_sdk::{Error, Result};

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
}
