//! [`HandleData`]: the plugin's part of a handle, which the host stores.
use crate::labels;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use wharf_sdk::{Error, ErrorCode, Handle, Result};

/// The version of a handle of a container that wharf made.
const VERSION: u32 = 1;
/// The version of a handle of a container that was taken over. It has another number, since an older plugin would look for
/// labels that this container lacks, and report it as gone.
const VERSION_TAKEN: u32 = 2;

/// The length of a container's id. An engine also takes names and beginnings of ids, which may mean another container
/// later.
const ID_LEN: usize = 64;

/// The container of a handle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandleData {
    /// Its id. The container is found by it, even if it is renamed.
    pub(crate) container: String,
    /// The port inside the container. None: the server uses stdin and stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target_port: Option<u16>,
    /// Set if another product made the container. None: wharf made it, and its labels say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) taken: Option<Taken>,
}

/// A container that was taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// The labels by which it was found. It must still carry them.
    pub(crate) labels: BTreeMap<String, String>,
}

impl HandleData {
    /// The handle of a workload with this data.
    pub(crate) fn to_handle(&self, uid: &str) -> Handle {
        let mut data = match self.target_port {
            Some(port) => serde_json::json!({ "container": self.container, "target_port": port }),
            None => serde_json::json!({ "container": self.container }),
        };
        let version = match &self.taken {
            Some(taken) => {
                data["taken"] = serde_json::json!({ "labels": taken.labels });
                VERSION_TAKEN
            }
            None => VERSION,
        };
        Handle { uid: uid.to_owned(), version, data }
    }

    /// Whether a container with these labels can be the one that was taken over: it has the recorded labels, and none of
    /// wharf's.
    pub(crate) fn fits(&self, labels: Option<&HashMap<String, String>>) -> bool {
        let (Some(taken), Some(labels)) = (&self.taken, labels) else { return false };
        !labels.contains_key(labels::HOST_ID)
            && taken.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
    }

    /// The data of a handle; a handle of an unknown version, or of another runtime, is refused.
    pub(crate) fn read(handle: &Handle) -> Result<Self> {
        if !(VERSION..=VERSION_TAKEN).contains(&handle.version) {
            let message = format!(
                "the stored handle has version {}, and this plugin knows versions up to {VERSION_TAKEN}; use the \
                 plugin that started the workload, or remove the workload with --forget",
                handle.version
            );
            return Err(Error::new(ErrorCode::Unsupported, message));
        }
        let data: Self = serde_json::from_value(handle.data.clone())
            .map_err(|error| Error::invalid(format!("the stored handle is none of a container: {error}")))?;
        // The id becomes a part of a URL's path, so its form is checked.
        if data.container.len() != ID_LEN || !data.container.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::invalid("the stored handle names no container's id"));
        }
        if data.taken.is_some() != (handle.version == VERSION_TAKEN) {
            return Err(Error::invalid("the stored handle does not say whose container it is"));
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for target_port in [None, Some(8080)] {
            let taken = Taken { labels: BTreeMap::from([("maker".to_owned(), "other".to_owned())]) };
            for taken in [None, Some(taken)] {
                let data = HandleData { container: "0af3".repeat(16), target_port, taken };
                assert_eq!(HandleData::read(&data.to_handle("u")).unwrap(), data);
            }
        }
    }

    #[test]
    fn handles_of_others_are_refused_in_words() {
        let handle = |version, data| Handle { uid: "u".to_owned(), version, data };
        let newer = HandleData::read(&handle(3, serde_json::json!({}))).unwrap_err();
        assert_eq!(newer.code, ErrorCode::Unsupported);
        assert!(newer.message.contains("version 3"), "{newer}");
        let own = serde_json::json!({ "container": "0af3".repeat(16) });
        assert_eq!(HandleData::read(&handle(2, own)).unwrap_err().code, ErrorCode::InvalidArgument);
        let short = "0af3".repeat(15);
        let name = "name".repeat(16);
        for container in ["", "../images/json", &short, &name] {
            let data = serde_json::json!({ "container": container });
            assert_eq!(HandleData::read(&handle(1, data)).unwrap_err().code, ErrorCode::InvalidArgument);
        }
    }

    #[test]
    fn r09_a_container_that_was_taken_over_keeps_its_labels_and_has_none_of_wharfs() {
        let labels = BTreeMap::from([("maker".to_owned(), "other".to_owned())]);
        let data =
            HandleData { container: "0af3".repeat(16), target_port: None, taken: Some(Taken { labels }) };
        let fits = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            data.fits(Some(&labels.collect()))
        };
        assert!(fits(&[("maker", "other"), ("more", "")]));
        assert!(!fits(&[("maker", "another")]) && !fits(&[]) && !data.fits(None));
        assert!(!fits(&[("maker", "other"), (labels::HOST_ID, "h")]));
        let own = HandleData { taken: None, ..data.clone() };
        assert!(!own.fits(Some(&HashMap::new())));
    }
}
