//! The handle of this runtime, as the host stores it.
use crate::names::is_name;
use serde::{Deserialize, Serialize};
use wharf_sdk::{Error, Handle, Result};

/// The version of the form below.
const VERSION: u32 = 1;

/// Which StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandleData {
    /// Its name, by which it is asked for.
    pub(crate) statefulset: String,
    /// The uid that the cluster gave it: another one of the same name is another workload's.
    pub(crate) object_uid: String,
    /// The port inside the pod; none: it speaks over stdin and stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target_port: Option<u16>,
}

impl HandleData {
    /// As a handle.
    pub(crate) fn to_handle(&self, uid: &str) -> Handle {
        let mut data = serde_json::json!({ "statefulset": self.statefulset, "object_uid": self.object_uid });
        if let Some(port) = self.target_port {
            data["target_port"] = port.into();
        }
        Handle { uid: uid.to_owned(), version: VERSION, data }
    }

    /// From a handle; one of another version, or of another runtime, is refused.
    pub(crate) fn read(handle: &Handle) -> Result<Self> {
        let data: Self = handle.read(VERSION, "a StatefulSet")?;
        // The name becomes part of a path.
        if !is_name(&data.statefulset) {
            return Err(Error::invalid("the stored handle names no StatefulSet"));
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_sdk::ErrorCode;

    #[test]
    fn what_is_written_is_read_again() {
        for target_port in [None, Some(8080)] {
            let (statefulset, object_uid) = ("time-0af3".to_owned(), "u-1".to_owned());
            let data = HandleData { statefulset, object_uid, target_port };
            assert_eq!(HandleData::read(&data.to_handle("u")).unwrap(), data);
        }
    }

    #[test]
    fn handles_of_others_are_refused_in_words() {
        let handle = |version, data| Handle { uid: "u".to_owned(), version, data };
        let newer = HandleData::read(&handle(2, serde_json::json!({}))).unwrap_err();
        assert_eq!(newer.code, ErrorCode::Unsupported);
        assert!(newer.message.contains("version 2"), "{newer}");
        for name in ["", "../secrets/a", "A", "a/b"] {
            let data = serde_json::json!({ "statefulset": name, "object_uid": "u" });
            assert_eq!(HandleData::read(&handle(1, data)).unwrap_err().code, ErrorCode::InvalidArgument);
        }
    }
}
