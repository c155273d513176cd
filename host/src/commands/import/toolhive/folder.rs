//! Reads ToolHive's files: each once, trusting none of them.
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use wharf_model::SchemaVersion;
use wharf_model::chain;
use wharf_records::{Folder, Kept, RECORD_BYTES_MAX, ReadError};

/// The folders of ToolHive's state; none where they are not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folders {
    /// The folder of `runconfigs` and `groups`.
    pub state: Option<PathBuf>,
    /// The folder of `statuses`.
    pub data: Option<PathBuf>,
}

/// One RunConfig of ToolHive's, readable or not.
#[derive(Debug)]
pub struct Entry {
    /// The stem of its file, which is the workload's name in ToolHive.
    pub name: String,
    /// Its contents, or the reason why they cannot be read.
    pub file: Result<File, String>,
}

/// The contents of a RunConfig of ToolHive's. For Go, a missing field and one that is `null` are the same.
#[derive(Debug)]
pub struct File {
    /// The fields that wharf uses.
    pub fields: Fields,
    /// All members, as they are spelled.
    pub members: Kept,
}

/// The fields of a RunConfig that wharf uses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    pub(crate) schema_version: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) base_name: Option<String>,
    pub(crate) transport: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) allowed_origins: Option<Vec<String>>,
    pub(crate) target_port: Option<u16>,
    pub(crate) proxy_mode: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) cmd_args: Option<Vec<String>>,
    pub(crate) env_vars: Option<BTreeMap<String, String>>,
    pub(crate) secrets: Option<Vec<String>>,
    pub(crate) volumes: Option<Vec<String>>,
    pub(crate) permission_profile: Option<Value>,
    pub(crate) isolate_network: Option<bool>,
    pub(crate) container_labels: Option<BTreeMap<String, String>>,
    pub(crate) remote_url: Option<String>,
}

/// The facts in a status file of ToolHive's. Its verdicts on health are not read.
#[derive(Debug, Deserialize)]
pub struct Status {
    /// When the workload was created.
    pub created_at: Option<Timestamp>,
}

/// A group of ToolHive's.
#[derive(Debug, Deserialize)]
pub struct Group {
    /// The clients that its workloads are registered with.
    #[serde(default, deserialize_with = "list")]
    pub registered_clients: Vec<String>,
}

fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// All RunConfigs, in the order of their names; empty if there is no such folder.
///
/// # Errors
/// The folder cannot be read.
pub fn read(folders: &Folders) -> Result<Vec<Entry>, ReadError> {
    let found = files(folders.state.as_deref(), "runconfigs")?;
    Ok(found
        .into_iter()
        .map(|(name, bytes)| Entry { file: bytes.and_then(|it| parse(&name, &it)), name })
        .collect())
}

/// The status file of a workload, if there is one.
///
/// # Errors
/// The reason why it cannot be read.
pub fn read_status(folders: &Folders, name: &str) -> Result<Option<Status>, String> {
    let Some(path) = folders.data.as_ref().map(|data| data.join("statuses")) else { return Ok(None) };
    // ToolHive replaces slashes the same way.
    let file = format!("{}.json", name.replace('/', "-"));
    let bytes = match Folder::open(&path) {
        Ok(None) => return Ok(None),
        Ok(Some(folder)) => folder.read(OsStr::new(&file), RECORD_BYTES_MAX),
        Err(error) => Err(error),
    };
    match bytes {
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(chain(&error)),
        Ok(bytes) => json(&bytes).map(Some).map_err(|why| format!("{} {why}", path.join(file).display())),
    }
}

/// All groups by their names, readable or not.
///
/// # Errors
/// The folder cannot be read.
pub fn read_groups(folders: &Folders) -> Result<BTreeMap<String, Result<Group, String>>, ReadError> {
    let found = files(folders.state.as_deref(), "groups")?;
    Ok(found.into_iter().map(|(name, bytes)| (name, bytes.and_then(|bytes| json(&bytes)))).collect())
}

type Bytes = Result<Vec<u8>, String>;

/// The bytes of every `NAME.json` of a folder, by name. Temporary files begin with a dot and are left out.
fn files(base: Option<&Path>, folder: &str) -> Result<BTreeMap<String, Bytes>, ReadError> {
    let Some(folder) = base.map(|base| Folder::open(&base.join(folder))).transpose()?.flatten() else {
        return Ok(BTreeMap::new());
    };
    let mut found = BTreeMap::new();
    for file in folder.names()? {
        let name = file.to_string_lossy();
        let Some(stem) = name.strip_suffix(".json").filter(|stem| !stem.starts_with('.')) else { continue };
        match folder.read(&file, RECORD_BYTES_MAX) {
            // The file was removed since the folder was read.
            Err(error) if error.is_not_found() => {}
            read => drop(found.insert(stem.to_owned(), read.map_err(|error| chain(&error)))),
        }
    }
    Ok(found)
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("cannot be understood: {error}"))
}

pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<File, String> {
    let members: Kept = json(bytes)?;
    let fields: Fields = json(bytes)?;
    let version = fields.schema_version.as_deref().unwrap_or_default();
    if !version.is_empty() {
        let version: SchemaVersion = version.parse().map_err(|error| format!("{error}"))?;
        if version.is_newer() {
            return Err(format!("has schema {version}, and {} is known here", SchemaVersion::CURRENT));
        }
    }
    match fields.base_name.as_deref().filter(|base| !base.is_empty() && *base != name) {
        Some(other) => Err(format!("is the run config of {other:?}")),
        None => Ok(File { fields, members }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_toolhive_file_is_reported_and_null_counts_as_absent() {
        let why = |text: &str| parse("time", text.as_bytes()).unwrap_err();
        for text in ["", "[]", "{", "\0", r#"{"port": "x"}"#, r#"{"port": 70000}"#] {
            assert!(why(text).starts_with("cannot be understood"), "{text}");
        }
        assert!(why(r#"{"schema_version": "v9.0.0"}"#).contains("v9.0.0"));
        assert!(why(r#"{"schema_version": "new"}"#).contains("new"));
        assert!(why(r#"{"base_name": "other"}"#).contains("other"));
        let file = parse("time", br#"{"image": "x", "cmd_args": null, "base_name": "time"}"#).unwrap();
        assert_eq!((file.fields.cmd_args, file.members.len()), (None, 3));
    }

    #[test]
    fn a_missing_toolhive_folder_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        for state in [None, Some(dir.path().to_owned()), Some(dir.path().join("missing"))] {
            let folders = Folders { data: state.clone(), state };
            assert!(read(&folders).unwrap().is_empty() && read_groups(&folders).unwrap().is_empty());
            assert!(read_status(&folders, "time").unwrap().is_none());
        }
    }
}
