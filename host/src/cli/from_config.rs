//! `run --from-config`: reads a RunConfig that was exported, or written by hand.
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::Path;
use wharf::commands::RunRequest;
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{ProxyMode, RunConfig, Uid, says_nothing};
use wharf_records::RECORD_BYTES_MAX;

/// Stands in for a name that will be derived from SERVER.
const NO_NAME: &str = "no-name";

/// Reads the request from a file, or from stdin for `-`.
pub(super) fn read(path: &Path) -> Result<RunRequest> {
    let shown = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    let bytes = bytes(path).map_err(|error| {
        Error::caused(ErrorKind::Usage, format!("--from-config: {shown} cannot be read"), &error)
    })?;
    if bytes.len() > RECORD_BYTES_MAX {
        let message = format!("--from-config: {shown} has more than {RECORD_BYTES_MAX} bytes");
        return Err(Error::new(ErrorKind::Usage, message));
    }
    request(&bytes).map_err(|error| error.while_doing(format!("--from-config: {shown}")))
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let limit = RECORD_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        super::output::reader()?.take(limit).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn request(bytes: &[u8]) -> Result<RunRequest> {
    let wrong = |error: &serde_json::Error| Error::caused(ErrorKind::Usage, "it is no RunConfig", error);
    let given: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| wrong(&error))?;
    let is_named = given.contains_key("name");
    let mut complete = given.clone();
    // Fields that a RunConfig written by hand need not have.
    let uid = Uid::random()
        .map_err(|error| Error::caused(ErrorKind::Failed, "no random uid can be made", &error))?;
    for (key, value) in
        [("uid", json!(uid.as_str())), ("name", json!(NO_NAME)), ("transport", json!("stdio"))]
    {
        complete.entry(key).or_insert(value);
    }
    let run: RunConfig = serde_json::from_value(Value::Object(complete)).map_err(|error| wrong(&error))?;
    run.validate().map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))?;
    refuse_unsupported(&given, &run)?;
    let mut request = RunRequest::from_config(&run);
    if !is_named {
        request.name = None;
    }
    Ok(request)
}

/// Refuses fields, by name, that this version does not know or cannot honour.
fn refuse_unsupported(given: &Map<String, Value>, run: &RunConfig) -> Result<()> {
    let usage = |message: String| Err(Error::new(ErrorKind::Usage, message));
    if run.schema_version.is_newer() {
        return usage(format!("it has schema {}, use a newer wharf", run.schema_version));
    }
    let unsupported = [
        ("remote_url", run.is_remote()),
        ("target_host", !run.target_host.is_empty()),
        ("proxy_mode", run.proxy_mode == ProxyMode::Sse),
    ];
    if let Some((field, _)) = unsupported.into_iter().find(|(_, is_given)| *is_given) {
        return usage(format!("its field '{field}' is not supported by this version of wharf"));
    }
    let known = serde_json::to_value(run)
        .map_err(|error| Error::caused(ErrorKind::Failed, "it cannot be compared", &error))?;
    // A known field is written back, unless it has no value. So a field that is missing in the written RunConfig is
    // unknown.
    match given.iter().find(|(key, value)| known.get(key.as_str()).is_none() && !says_nothing(value)) {
        Some((key, _)) => usage(format!("its field '{key}' is not known to this version of wharf")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        request(text.as_bytes()).unwrap_err().message
    }

    #[test]
    fn a_runconfig_written_by_hand_needs_only_a_server() {
        let request =
            request(br#"{"server": "uvx://mcp-server-time", "cmd_args": [], "target_port": 0}"#).unwrap();
        assert_eq!((request.server.as_str(), request.name), ("uvx://mcp-server-time", None));
    }

    #[test]
    fn an_exported_runconfig_can_be_run_again() {
        let mut run =
            RunConfig::new(Uid::random().unwrap(), "time".parse().unwrap(), "uvx://mcp-server-time");
        run.env_vars.insert("A".into(), "b".into());
        let request = request(&serde_json::to_vec(&run).unwrap()).unwrap();
        assert_eq!(request.name.as_deref(), Some("time"));
        assert_eq!(request.env["A"], "b");
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        assert!(message("[]").starts_with("it is no RunConfig"));
        assert!(message(r#"{"server":"x","gpu_count":1}"#).contains("'gpu_count' is not known"));
        assert!(message(r#"{"remote_url":"https://x"}"#).contains("'remote_url'"));
        assert!(message("{}").contains("nothing to run"));
    }
}
