//! Reads the files of the user's configuration; an error has the path of the key that is at fault, and knows an example of
//! what may stand there.
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use wharf_sdk::files::{self, Links};

/// The name of the file with the user's settings.
pub const SETTINGS_FILE: &str = "config.json";
/// The name of the file with the digests of plugins.
pub const PINS_FILE: &str = "plugins.lock.json";

/// A larger file of the user's configuration is refused.
const MAX_SETTINGS_BYTES: u64 = 4 * 1024 * 1024;

/// The reason why a file of the user's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It cannot be read.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// It is no valid file of its kind.
    #[error("{} is not valid{}", .path.display(), at(.key))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The path of the key that is at fault; empty where none is, or the parser's error names it.
        key: String,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// A value is of the right type, and makes no sense.
    #[error("{}: {key} {why}", .path.display())]
    Senseless {
        /// The file.
        path: PathBuf,
        /// The path of the key.
        key: String,
        /// The fault.
        why: String,
    },
}

impl SettingsError {
    /// An example of what may stand in the place that is at fault, if the place is known.
    pub fn example(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { key, .. } | Self::Senseless { key, .. } => example(key),
            Self::Unreadable { .. } => None,
        }
    }
}

fn at(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!(": {key}") }
}

/// Reads a JSON file of the user's configuration. A missing file gives the defaults.
pub fn read_optional<T: DeserializeOwned + Default>(path: &Path) -> Result<T, SettingsError> {
    read_bytes(path)?.map_or_else(|| Ok(T::default()), |bytes| parse(path, &bytes))
}

/// The bytes of a file of the user's configuration. None: there is none.
pub(crate) fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, SettingsError> {
    match files::read_file(path, Links::Follow, MAX_SETTINGS_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SettingsError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Reads JSON. The error has the path of the key that is at fault.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, SettingsError> {
    let invalid = |key: &str, source: serde_json::Error| {
        // A question mark is a key that was not read yet, a dot the document itself.
        let key = key.trim_end_matches('?').trim_end_matches('.');
        let is_named = source.to_string().contains(&format!("`{key}`"));
        let key = if is_named { String::new() } else { key.to_owned() };
        SettingsError::Invalid { path: path.to_owned(), key, source }
    };
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut parser)
        .map_err(|error| invalid(&error.path().to_string(), error.into_inner()))?;
    parser.end().map_err(|source| invalid("", source))?;
    Ok(parsed)
}

/// An example of what may stand at this key, or at the nearest key above it that has one.
pub(crate) fn example(key: &str) -> Option<&'static str> {
    let mut key = key.split('[').next().unwrap_or_default();
    loop {
        if let Some((_, example)) = EXAMPLES.iter().find(|(known, _)| *known == key) {
            return Some(example);
        }
        key = key.rsplit_once('.')?.0;
    }
}

/// What may stand at each key.
pub(crate) const EXAMPLES: [(&str, &str); 22] = [
    ("default_runtime", r#""default_runtime": "docker""#),
    ("plugin_dirs", r#""plugin_dirs": ["/opt/wharf/plugins"]"#),
    ("runtimes", r#""runtimes": { "docker": { "endpoint": "unix:///run/docker.sock" } }"#),
    ("start_timeout_ms", r#""start_timeout_ms": 120000"#),
    ("list_timeout_ms", r#""list_timeout_ms": 2500"#),
    ("proxy", r#""proxy": { "sessions": 1024 }"#),
    ("proxy.memory_bytes", r#""proxy": { "memory_bytes": 67108864 }"#),
    ("proxy.call_timeout_ms", r#""proxy": { "call_timeout_ms": 300000 }"#),
    ("proxy.resume_ms", r#""proxy": { "resume_ms": 60000 }"#),
    ("proxy.session_servers", r#""proxy": { "session_servers": 16 }"#),
    ("proxy.session_reserve_ms", r#""proxy": { "session_reserve_ms": 60000 }"#),
    ("proxy.sessions", r#""proxy": { "sessions": 1024 }"#),
    ("proxy.session_idle_ms", r#""proxy": { "session_idle_ms": 1800000 }"#),
    ("proxy.body_bytes", r#""proxy": { "body_bytes": 8388608 }"#),
    ("proxy.allowed_hosts", r#""proxy": { "allowed_hosts": ["box.lan", "box.lan:8080"] }"#),
    ("proxy.allowed_origins", r#""proxy": { "allowed_origins": ["https://app.example"] }"#),
    ("mcp", r#""mcp": { "allow": { "workloads": ["time"] } }"#),
    ("mcp.allow", r#""mcp": { "allow": { "workloads": ["time"] } }"#),
    ("mcp.allow.packages", r#""mcp": { "allow": { "packages": ["uvx://mcp-server-time"] } }"#),
    ("mcp.allow.images", r#""mcp": { "allow": { "images": ["ghcr.io/example/time:1"] } }"#),
    ("mcp.allow.commands", r#""mcp": { "allow": { "commands": ["/opt/time-server utc"] } }"#),
    ("mcp.allow.tools", r#""mcp": { "allow": { "tools": ["time/get_time"] } }"#),
];
