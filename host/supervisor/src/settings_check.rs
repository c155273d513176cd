//! Reads `config.json`, and refuses what makes no sense: each fault with the path of its key, and an example of what may
//! stand there. Called by the front end that fills the library's `Config`; nobody reads the file elsewhere.
//!
//! The settings of a runtime are the plugin's: it refuses them itself when it is connected.
use crate::config::Settings;
use crate::settings_file::{SETTINGS_FILE, SettingsError, parse, read_bytes};
use crate::settings_ranges::{COUNT, DAY_MS, LIST_TIMEOUT_MS, MEMORY_BYTES, SESSION_IDLE_MS, WEEK_MS};
use serde_json::Value;
use std::path::Path;
use wharf_proxy::Limits;
use wharf_runtimes::is_runtime_name;

/// A fault of a setting: the path of its key, and what is wrong.
type Fault = (String, String);

/// The settings in this folder. A missing file gives the defaults.
///
/// # Errors
/// The file cannot be read, is not JSON, or a key or a value in it makes no sense.
pub fn read_settings(config_dir: &Path) -> Result<Settings, SettingsError> {
    let path = config_dir.join(SETTINGS_FILE);
    let Some(bytes) = read_bytes(&path)? else { return Ok(Settings::default()) };
    let senseless = |(key, why)| SettingsError::Senseless { path: path.clone(), key, why };
    // A parser takes a list for the members of an object, in their order; nobody means that.
    let document: Value = parse(&path, &bytes)?;
    lists(&document).map_err(senseless)?;
    let settings: Settings = parse(&path, &bytes)?;
    check(&settings).map_err(senseless)?;
    Ok(settings)
}

/// Fails where something else stands that must be an object.
fn lists(document: &Value) -> Result<(), Fault> {
    if !document.is_object() {
        return Err(("the document".to_owned(), "must be an object: { … }".to_owned()));
    }
    let objects = [&["runtimes"][..], &["proxy"], &["mcp"], &["mcp", "allow"]];
    let at = |keys: &[&str]| keys.iter().try_fold(document, |value, key| value.get(key));
    let found = objects.into_iter().filter_map(|keys| Some((keys.join("."), at(keys)?)));
    let runtimes = document.get("runtimes").and_then(Value::as_object).into_iter().flatten();
    // Those of a runtime may be left to it.
    let of_runtimes = runtimes
        .filter(|(_, settings)| !settings.is_null())
        .map(|(name, settings)| (format!("runtimes.{name}"), settings));
    match found.chain(of_runtimes).find(|(_, value)| !value.is_object()) {
        Some((key, _)) => Err((key, "must be an object: { … }".to_owned())),
        None => Ok(()),
    }
}

/// Fails at the first value that makes no sense.
fn check(settings: &Settings) -> Result<(), Fault> {
    check_numbers(settings)?;
    let proxy = &settings.proxy;
    if settings.default_runtime.as_ref().is_some_and(|name| !is_runtime_name(name)) {
        let why = "names no runtime: a name has small letters, digits and '-'";
        return Err(("default_runtime".to_owned(), why.to_owned()));
    }
    let dirs: Vec<_> = settings.plugin_dirs.iter().map(|path| path.display().to_string()).collect();
    each("plugin_dirs", &dirs, "is no folder", |text| !text.trim().is_empty())?;
    each("proxy.allowed_hosts", &proxy.allowed_hosts, "is no NAME or NAME:PORT", is_host)?;
    let why = "is no origin, SCHEME://NAME or SCHEME://NAME:PORT";
    each("proxy.allowed_origins", &proxy.allowed_origins, why, is_origin)?;
    let allow = &settings.mcp.allow;
    let is_pattern = |text: &str| !text.trim().is_empty();
    let why = "is no package, npx://NAME or uvx://NAME";
    each("mcp.allow.packages", &allow.packages, why, |text| text.contains("://"))?;
    each("mcp.allow.images", &allow.images, "allows nothing", is_pattern)?;
    each("mcp.allow.commands", &allow.commands, "allows nothing", is_pattern)?;
    each("mcp.allow.workloads", &allow.workloads, "allows nothing", is_pattern)?;
    each("mcp.allow.tools", &allow.tools, "is no WORKLOAD/TOOL", |text| text.contains('/'))
}

fn check_numbers(settings: &Settings) -> Result<(), Fault> {
    let proxy = &settings.proxy;
    let usual = Limits::default();
    // What the proxy may hold has to take a few bodies.
    let most = proxy.memory_bytes.unwrap_or(usual.memory_bytes as u64) / 2;
    let bodies = usual.opening_bytes as u64..=most;
    let count = u64::from(*COUNT.start())..=u64::from(*COUNT.end());
    let numbers = [
        ("start_timeout_ms", settings.start_timeout_ms, 100..=DAY_MS),
        ("list_timeout_ms", settings.list_timeout_ms, LIST_TIMEOUT_MS),
        ("proxy.memory_bytes", proxy.memory_bytes, MEMORY_BYTES),
        ("proxy.call_timeout_ms", proxy.call_timeout_ms, 100..=WEEK_MS),
        ("proxy.resume_ms", proxy.resume_ms, 0..=DAY_MS),
        ("proxy.session_servers", proxy.session_servers.map(u64::from), count.clone()),
        ("proxy.session_reserve_ms", proxy.session_reserve_ms, 0..=DAY_MS),
        ("proxy.sessions", proxy.sessions.map(u64::from), count),
        ("proxy.session_idle_ms", proxy.session_idle_ms, SESSION_IDLE_MS),
        ("proxy.body_bytes", proxy.body_bytes, bodies),
    ];
    for (key, value, allowed) in numbers {
        if let Some(value) = value.filter(|value| !allowed.contains(value)) {
            let why = format!("is {value}, and must be from {} to {}", allowed.start(), allowed.end());
            return Err((key.to_owned(), why));
        }
    }
    Ok(())
}

/// Fails at the first text of a list that is none of its kind.
fn each(key: &str, texts: &[String], why: &str, is_one: impl Fn(&str) -> bool) -> Result<(), Fault> {
    match texts.iter().enumerate().find(|(_, text)| !is_one(text)) {
        Some((at, text)) => Err((format!("{key}[{at}]"), format!("is '{text}', which {why}"))),
        None => Ok(()),
    }
}

fn is_host(text: &str) -> bool {
    wharf_proxy::is_host(as_compared(text))
}

fn is_origin(text: &str) -> bool {
    wharf_proxy::is_origin(as_compared(text))
}

/// A name as the proxy compares it.
fn as_compared(text: &str) -> &str {
    text.trim().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings_file::{EXAMPLES, example};
    use std::io::Write;
    use wharf_model::chain;

    fn read(text: &str) -> Result<Settings, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let mut file = std::fs::File::create(folder.path().join(SETTINGS_FILE)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read_settings(folder.path())
    }

    #[test]
    fn every_example_is_one_and_every_key_has_one() {
        for (key, example) in EXAMPLES {
            assert!(read(&format!("{{ {example} }}")).is_ok(), "{key}");
        }
        let document = serde_json::to_value(Settings::default()).unwrap();
        for (key, value) in document.as_object().unwrap() {
            assert!(EXAMPLES.iter().any(|(known, _)| known == key), "{key}");
            if key == "proxy" {
                for inner in value.as_object().unwrap().keys() {
                    let inner = format!("proxy.{inner}");
                    assert!(EXAMPLES.iter().any(|(known, _)| *known == inner), "{inner}");
                }
            }
        }
        assert_eq!(example("mcp.allow.workloads[3]"), example("mcp.allow"));
        assert_eq!(example("no_such_key"), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_path_of_its_key() {
        for (text, key, why) in [
            ("[]", "the document", "must be an object"),
            ("7", "the document", "must be an object"),
            (r#"{ "proxy": [] }"#, "proxy", "must be an object"),
            (r#"{ "mcp": { "allow": [] } }"#, "mcp.allow", "must be an object"),
            (r#"{ "runtimes": { "docker": ["x"] } }"#, "runtimes.docker", "must be an object"),
            (r#"{ "start_timeout_ms": 0 }"#, "start_timeout_ms", "is 0, and must be from 100 to 86400000"),
            (r#"{ "list_timeout_ms": 99999999 }"#, "list_timeout_ms", "must be from 100 to 3600000"),
            (r#"{ "proxy": { "memory_bytes": 5 } }"#, "proxy.memory_bytes", "must be from 4194304 to"),
            (r#"{ "proxy": { "memory_bytes": 18446744073709551615 } }"#, "proxy.memory_bytes", "must be"),
            (r#"{ "proxy": { "sessions": 0 } }"#, "proxy.sessions", "is 0, and must be from 1 to 65535"),
            (r#"{ "proxy": { "body_bytes": 99999999 } }"#, "proxy.body_bytes", "from 65536 to 33554432"),
            (r#"{ "plugin_dirs": ["x", ""] }"#, "plugin_dirs[1]", "is no folder"),
            (r#"{ "default_runtime": "" }"#, "default_runtime", "names no runtime"),
            (r#"{ "proxy": { "allowed_hosts": ["http://a"] } }"#, "proxy.allowed_hosts[0]", "'http://a'"),
            (r#"{ "proxy": { "allowed_hosts": ["a:0"] } }"#, "proxy.allowed_hosts[0]", "is no NAME"),
            (r#"{ "proxy": { "allowed_hosts": ["*"] } }"#, "proxy.allowed_hosts[0]", "is no NAME"),
            (r#"{ "proxy": { "allowed_origins": ["a.b"] } }"#, "proxy.allowed_origins[0]", "is no origin"),
            (r#"{ "proxy": { "allowed_origins": ["http://a/b"] } }"#, "proxy.allowed_origins[0]", "is no"),
            (r#"{ "proxy": { "allowed_origins": ["null"] } }"#, "proxy.allowed_origins[0]", "is no origin"),
            (r#"{ "mcp": { "allow": { "tools": ["x"] } } }"#, "mcp.allow.tools[0]", "is no WORKLOAD/TOOL"),
            (r#"{ "mcp": { "allow": { "packages": ["x"] } } }"#, "mcp.allow.packages[0]", "is no package"),
        ] {
            let error = read(text).unwrap_err();
            let told = chain(&error);
            assert!(told.contains(&format!("config.json: {key} ")) && told.contains(why), "{text}: {told}");
            assert!(key == "the document" || error.example().is_some(), "{text}");
        }
    }

    #[test]
    fn a_value_of_another_type_and_an_unknown_key_are_told_with_their_paths() {
        for (text, key) in [
            (r#"{ "proxy": { "memory_bytes": -1 } }"#, "proxy.memory_bytes"),
            (r#"{ "proxy": { "memory_bytes": 1e30 } }"#, "proxy.memory_bytes"),
            (r#"{ "proxy": { "allowed_hosts": ["a", 1] } }"#, "proxy.allowed_hosts[1]"),
            (r#"{ "start_timeout_ms": "soon" }"#, "start_timeout_ms"),
            (r#"{ "proxy": { "memory": 1 } }"#, "proxy.memory"),
        ] {
            let error = read(text).unwrap_err();
            let told = chain(&error);
            assert!(told.contains(&format!("config.json is not valid: {key}: ")), "{text}: {told}");
            assert!(error.example().is_some(), "{text}");
        }
        assert!(chain(&read("{").unwrap_err()).contains("config.json is not valid: EOF"));
        assert!(chain(&read("{} {}").unwrap_err()).contains("is not valid: trailing characters"));
    }

    #[test]
    fn names_of_hosts_and_origins_are_taken_as_the_proxy_compares_them() {
        for text in ["box.lan", "Box.lan:8080", "[::1]:80", "[::1]", "10.0.0.1:1", "my_box"] {
            assert!(is_host(text), "{text}");
        }
        for text in ["https://App.example/", "chrome-extension://abcdef", "http://localhost:3000"] {
            assert!(is_origin(text), "{text}");
        }
        for text in ["", " ", "a b", "a:b", "a:99999", "[::1", "[x]", "a/b", ":80"] {
            assert!(!is_host(text), "{text}");
        }
    }
}
