//! Options of `run` that need more than a parser: environment, labels, and what this version cannot honour.
use super::run::Run;
use super::world::text;
use std::collections::BTreeMap;
use std::path::Path;
use wharf::error::{Error, ErrorKind, Result};

/// The largest file of variables that is read.
const MAX_ENV_FILE_BYTES: u64 = 1024 * 1024;

/// `KEY=VALUE`.
pub(super) fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it is not KEY=VALUE".to_owned()),
    }
}

/// The environment that was asked for: files in their order, then `-e`, the later one wins.
pub(super) fn environment(run: &Run) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for path in &run.env_file {
        for (at, line) in read(path)?.lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) =
                variable(line).map_err(|e| e.while_doing(format!("{}, line {}", path.display(), at + 1)))?;
            variables.insert(key, value);
        }
    }
    for given in &run.env {
        let (key, value) = variable(given).map_err(|error| error.while_doing("--env"))?;
        variables.insert(key, value);
    }
    Ok(variables)
}

fn read(path: &Path) -> Result<String> {
    use std::io::Read;
    let failed = |error: std::io::Error| {
        Error::caused(ErrorKind::Usage, format!("--env-file {} cannot be read", path.display()), &error)
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    let read = file.take(MAX_ENV_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > MAX_ENV_FILE_BYTES {
        let message = format!("--env-file {} has more than {MAX_ENV_FILE_BYTES} bytes", path.display());
        return Err(Error::new(ErrorKind::Usage, message));
    }
    Ok(text)
}

/// `KEY=VALUE`, or `KEY` for the value that it has here. Values are taken as they are, quotes included.
fn variable(given: &str) -> Result<(String, String)> {
    if let Some((key, value)) = given.split_once('=') {
        return Ok((key.to_owned(), value.to_owned()));
    }
    match text(given)? {
        Some(value) => Ok((given.to_owned(), value)),
        None => Err(Error::new(ErrorKind::Usage, format!("the variable {given} is not set here"))
            .hint(format!("set it, or write {given}=VALUE"))),
    }
}

/// Refuses by name what cannot be honoured: nothing that is asked for is silently ignored.
pub(super) fn refuse_unsupported(run: &Run) -> Result<()> {
    let asked = [
        ("--volume", !run.volume.is_empty(), "a plain process sees the files of this machine as they are"),
        ("--permission-profile", run.permission_profile.is_some(), "a plain process is not confined"),
        ("--cpus", run.cpus.is_some(), "a plain process is not limited"),
        ("--memory", run.memory.is_some(), "a plain process is not limited"),
    ];
    for (option, _, why) in asked.into_iter().filter(|(_, is_asked, _)| *is_asked) {
        let message = format!("{option} is not supported by this version of wharf: {why}");
        return Err(Error::new(ErrorKind::Usage, message).hint(format!("run it without {option}")));
    }
    let sse = [
        ("--transport", run.transport.is_some_and(super::run::TransportOption::is_sse)),
        ("--proxy-mode", run.proxy_mode == Some(super::run::ProxyModeOption::Sse)),
    ];
    for (option, _) in sse.into_iter().filter(|(_, is_asked)| *is_asked) {
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
    fn a_pair_has_a_key() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("=b").is_err() && pair("a").is_err());
    }
}
