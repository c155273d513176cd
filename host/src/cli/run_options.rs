//! Options of `run` that need more than a parser: environment, labels, and options that this version cannot honour.
use super::docker_options::{Meaning, OPTIONS};
use super::environment::text;
use super::run_arguments::{ProxyModeOption, Run};
use super::shared_arguments::TransportOption;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wharf_model::{Error, ErrorKind, Result};
use wharf_sdk::PermissionProfile;

/// The limit for a file of variables or a profile.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The environment that was asked for: the files in their order, then `-e`; a later value wins.
pub(super) fn environment(given: &[String], files: &[PathBuf]) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for path in files {
        for (at, line) in read("--env-file", path)?.lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = variable(line)
                .map_err(|e| e.while_doing(format!("--env-file {}, line {}", path.display(), at + 1)))?;
            variables.insert(key, value);
        }
    }
    for given in given {
        let (key, value) = variable(given).map_err(|error| error.while_doing("--env"))?;
        variables.insert(key, value);
    }
    Ok(variables)
}

fn read(option: &str, path: &Path) -> Result<String> {
    use std::io::Read;
    let failed = |error: std::io::Error| {
        Error::caused(ErrorKind::Usage, format!("{option} {} cannot be read", path.display()), &error)
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > MAX_FILE_BYTES {
        let message = format!("{option} {} has more than {MAX_FILE_BYTES} bytes", path.display());
        return Err(Error::new(ErrorKind::Usage, message));
    }
    Ok(text)
}

/// Reads `none`, `network`, or a file with a profile in ToolHive's form.
fn permission_profile(given: &str) -> Result<PermissionProfile> {
    if let Some(profile) = PermissionProfile::built_in(given) {
        return Ok(profile);
    }
    let text = read("--permission-profile", Path::new(given))
        .map_err(|error| error.hint("write none, network, or the path of a profile"))?;
    serde_json::from_str(&text).map_err(|error| {
        let message = format!("--permission-profile {given} is not a profile that wharf knows");
        Error::caused(ErrorKind::Usage, message, &error)
    })
}

/// The names of other fields as the options that set them.
const FIELDS: [(&str, &str); 5] = [
    ("no option 'context'", "no --kube-context"),
    ("no option 'namespace'", "no --namespace"),
    ("'container.network'", "--network"),
    ("container.no_init needs", "--no-init needs"),
    ("permission_profile needs", "--permission-profile needs"),
];

/// An error about what a runtime cannot honour, in the words of the command line.
pub(super) fn in_options(mut error: Error) -> Error {
    for option in OPTIONS {
        if let Meaning::Needs(capability) = &option.meaning {
            let lacks = format!("has no '{capability}'");
            if let Some(at) = error.message.find(&lacks) {
                error.message.truncate(at + lacks.len());
                error.message.push_str(&format!(", which {} needs", option.names[0]));
            }
        }
    }
    for (field, option) in FIELDS {
        error.message = error.message.replace(field, option);
    }
    error
}

/// The same as it is recorded.
pub(super) fn recorded_profile(given: &str) -> Result<serde_json::Value> {
    serde_json::to_value(permission_profile(given)?)
        .map_err(|error| Error::caused(ErrorKind::Failed, "the permission profile cannot be kept", &error))
}

/// `KEY=VALUE`, or `KEY` for its value in this process's environment. Values are taken as they are, with quotes.
fn variable(given: &str) -> Result<(String, String)> {
    let (key, value) = given.split_once('=').map_or((given, None), |(key, value)| (key, Some(value)));
    if key.is_empty() || key.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(Error::new(ErrorKind::Usage, format!("'{key}' is no name of a variable"))
            .hint("write NAME=VALUE, without spaces before the sign and without `export`"));
    }
    if let Some(value) = value {
        return Ok((key.to_owned(), value.to_owned()));
    }
    match text(given)? {
        Some(value) => Ok((given.to_owned(), value)),
        None => Err(Error::new(ErrorKind::Usage, format!("the variable {given} is not set here"))
            .hint(format!("set it, or write {given}=VALUE"))),
    }
}

/// Refuses options that cannot be honoured, by name: no option is silently ignored.
pub(super) fn refuse_unsupported(run: &Run) -> Result<()> {
    let sse = [
        ("--transport", run.wire.transport.is_some_and(TransportOption::is_sse)),
        ("--proxy-mode", run.proxy_mode == Some(ProxyModeOption::Sse)),
    ];
    if let Some((option, _)) = sse.into_iter().find(|(_, is_asked)| *is_asked) {
        let message = format!(
            "{option} sse is not supported by this version of wharf: it is superseded since 2025-03-26"
        );
        return Err(Error::new(ErrorKind::Usage, message).hint(format!("use {option} streamable-http")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_refused_is_told_by_its_option() {
        let told = |message: &str| in_options(Error::new(ErrorKind::Runtime, message)).message;
        assert_eq!(
            told("the runtime 'process' has no 'ulimits', which container.ulimits needs"),
            "the runtime 'process' has no 'ulimits', which --ulimit needs"
        );
        assert_eq!(
            told("the runtime 'x' has no 'memory', which memory_bytes needs"),
            "the runtime 'x' has no 'memory', which --memory needs"
        );
        assert_eq!(told("the runtime 'x' has no option 'context'"), "the runtime 'x' has no --kube-context");
    }
}
