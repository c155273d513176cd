//! [`Document`]: the common form of RunConfigs and status records on disk, and how one is rewritten without losing the
//! fields that this version does not know.
//!
//! No `serde(flatten)`: a rewrite parses the old file twice, once into the known fields and once into its members, in their
//! order and as they are spelled. It then replaces only the members whose value the change altered. So an unknown field, a
//! field inside a known one, a time zone, a number of any size, and a default that was never written down all stay as they
//! were.
//!
//! A file without a uid is one of an older version or of ToolHive. The fields that it lacks are computed from the others,
//! with the same result at each reading (R05), and the first rewrite writes them down.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::error::{Corruption, ReadError, StoreError};
use wharf_model::Opaque;
use wharf_model::RunConfig;
use wharf_model::SchemaVersion;
use wharf_model::StatusRecord;
use wharf_model::Uid;
use wharf_model::WorkloadName;

/// A record has at most this many bytes.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// The member that every file of this version has.
const UID: &str = "uid";

/// One kind of record: a JSON object in a file `NAME.json`.
pub(crate) trait Document: Serialize + DeserializeOwned + Clone + Send {
    /// The version of the file's shape, as the file gives it.
    fn schema_version(&self) -> SchemaVersion;
    /// The creation of the workload that it belongs to.
    fn uid(&self) -> &Uid;
    /// Checks for faults that no single field shows; also that the record belongs in a file of this name.
    fn check(&self, name: &WorkloadName) -> Result<(), Corruption>;
    /// Checks that the values that it stores for others can be parsed.
    fn check_opaque(&self) -> serde_json::Result<()>;
    /// For a file without a uid: the members that stand in for those that it lacks. A pure function of the file.
    fn made_up(found: &Map<String, Value>, name: &WorkloadName) -> Map<String, Value>;
}

#[derive(serde::Deserialize)]
struct Version {
    #[serde(default)]
    schema_version: SchemaVersion,
}

/// Reads a file into its known fields and checks all of them: for callers that act on the record.
pub(crate) fn decode<D: Document>(
    path: impl FnOnce() -> PathBuf,
    name: &WorkloadName,
    bytes: &[u8],
) -> Result<D, ReadError> {
    decode_checked(path, name, bytes, |document: &D| {
        document.check_opaque().map_err(|source| Corruption::Shape { source })
    })
}

/// The same for a listing, which does not parse the values that are stored for others.
pub(crate) fn decode_to_show<D: Document>(
    path: impl FnOnce() -> PathBuf,
    name: &WorkloadName,
    bytes: &[u8],
) -> Result<D, ReadError> {
    decode_checked(path, name, bytes, |_| Ok(()))
}

fn decode_checked<D: Document>(
    path: impl FnOnce() -> PathBuf,
    name: &WorkloadName,
    bytes: &[u8],
    check_more: impl FnOnce(&D) -> Result<(), Corruption>,
) -> Result<D, ReadError> {
    let shape = |source| Corruption::Shape { source };
    // The object is checked for here, since a derived `Deserialize` would also accept an array of the fields in their
    // order.
    let is_object = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let parsed = if bytes.is_empty() || is_object {
        parse::<D>(name, bytes).map_err(shape)
    } else {
        Err(Corruption::NotAnObject)
    };
    let decoded = parsed.and_then(|document| {
        document.check(name)?;
        check_more(&document)?;
        Ok(document)
    });
    decoded.map_err(|why| match serde_json::from_slice::<Version>(bytes) {
        // A later wharf may have changed the meaning of a field. So a file of a newer version that cannot be read here is
        // newer, not corrupt.
        Ok(Version { schema_version: found }) if found.is_newer() => {
            ReadError::Newer { path: path(), found, known: SchemaVersion::CURRENT }
        }
        Ok(_) | Err(_) => ReadError::Corrupt { path: path(), why },
    })
}

fn parse<D: Document>(name: &WorkloadName, bytes: &[u8]) -> serde_json::Result<D> {
    serde_json::from_slice(bytes).or_else(|fault| {
        let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return Err(fault) };
        if members.contains_key(UID) {
            return Err(fault);
        }
        members.extend(D::made_up(&members, name));
        serde_json::from_value(Value::Object(members))
    })
}

/// Members of another product's file that this version does not know, as they are spelled, in their order.
pub type Kept = IndexMap<String, Box<RawValue>>;

/// The bytes of a new file.
pub(crate) fn encode<D: Document>(document: &D) -> serde_json::Result<Vec<u8>> {
    encode_with(document, &Kept::new())
}

/// The bytes of a new file that also holds members of another one. The document's own members come first.
pub(crate) fn encode_with<D: Document>(document: &D, kept: &Kept) -> serde_json::Result<Vec<u8>> {
    let mut members = Kept::new();
    overlay(&mut members, Map::new(), fields(document)?)?;
    for (key, value) in kept {
        members.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let mut bytes = serde_json::to_vec_pretty(&members)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The bytes of a file whose bytes were `old` and whose record changes from `before` to `after`.
pub(crate) fn rewrite<D: Document>(
    name: &WorkloadName,
    old: &[u8],
    before: &D,
    after: &D,
) -> serde_json::Result<Vec<u8>> {
    let mut members: Kept = serde_json::from_slice(old)?;
    if !members.contains_key(UID) {
        for (key, value) in D::made_up(&serde_json::from_slice(old)?, name) {
            members.insert(key, to_raw_value(&value)?);
        }
    }
    overlay(&mut members, fields(before)?, fields(after)?)?;
    let mut bytes = serde_json::to_vec_pretty(&members)?;
    if old.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// Refuses a record that readers would refuse for its length.
pub(crate) fn refuse_too_large(name: &WorkloadName, bytes: &[u8]) -> Result<(), StoreError> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(StoreError::TooLarge {
            name: name.clone(),
            length: bytes.len(),
            limit: RECORD_BYTES_MAX,
        });
    }
    Ok(())
}

fn overlay(
    members: &mut Kept,
    mut before: Map<String, Value>,
    after: Map<String, Value>,
) -> serde_json::Result<()> {
    for (key, value) in after {
        if before.remove(&key).as_ref() != Some(&value) {
            members.insert(key, to_raw_value(&value)?);
        }
    }
    // The keys that are left in `before` are not in `after`: they are removed.
    for key in before.keys() {
        members.shift_remove(key);
    }
    Ok(())
}

fn fields<D: Document>(document: &D) -> serde_json::Result<Map<String, Value>> {
    serde_json::from_value(serde_json::to_value(document)?)
}

impl Document for RunConfig {
    fn schema_version(&self) -> SchemaVersion {
        self.schema_version
    }

    fn uid(&self) -> &Uid {
        &self.uid
    }

    fn check(&self, name: &WorkloadName) -> Result<(), Corruption> {
        if self.name != *name {
            return Err(Corruption::WrongName { found: self.name.to_string() });
        }
        self.validate().map_err(|source| Corruption::Contradiction { source })
    }

    fn check_opaque(&self) -> serde_json::Result<()> {
        let handle = self.imported.as_ref().and_then(|imported| imported.handle.as_ref());
        [handle, self.pinned.as_ref()].into_iter().flatten().try_for_each(Opaque::check)
    }

    /// A uid, unless the file names an instance: the writer of an instance also wrote a uid, so its absence is a fault of
    /// the file.
    fn made_up(found: &Map<String, Value>, name: &WorkloadName) -> Map<String, Value> {
        if found.contains_key("runtime_instance") {
            return Map::new();
        }
        Map::from_iter([("uid".to_owned(), Uid::of_legacy(name).to_string().into())])
    }
}

impl Document for StatusRecord {
    fn schema_version(&self) -> SchemaVersion {
        self.schema_version
    }

    fn uid(&self) -> &Uid {
        &self.uid
    }

    /// A status file does not name its workload: its uid ties it to a RunConfig.
    fn check(&self, _name: &WorkloadName) -> Result<(), Corruption> {
        Ok(())
    }

    fn check_opaque(&self) -> serde_json::Result<()> {
        self.handle.as_ref().map_or(Ok(()), Opaque::check)
    }

    /// For a status file of ToolHive. It belongs to the RunConfig beside it, if that has no uid either, and counts as
    /// written once. Its `unhealthy` and the like are no phases of ours; `desired` is derived from its status.
    fn made_up(found: &Map<String, Value>, name: &WorkloadName) -> Map<String, Value> {
        let (phase, desired) = match found.get("status").and_then(Value::as_str) {
            Some("running" | "unhealthy" | "unauthenticated" | "auth_retrying") => ("running", "running"),
            Some("starting") => ("starting", "running"),
            Some(phase @ ("stopping" | "removing")) => (phase, "stopped"),
            Some("stopped" | "policy_stopped") => ("stopped", "stopped"),
            Some("error" | "unknown") => ("error", "stopped"),
            _ => return Map::new(),
        };
        Map::from_iter([
            ("uid".to_owned(), Uid::of_legacy(name).to_string().into()),
            // Not 0, since a caller that compares revisions takes 0 for "there is no record".
            ("revision".to_owned(), 1.into()),
            ("status".to_owned(), phase.into()),
            ("desired".to_owned(), desired.into()),
        ])
    }
}
