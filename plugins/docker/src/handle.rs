//! [`HandleData`]: the plugin's part of a handle, which the host stores.
use serde::{Deserialize, Serialize};
use wharf_sdk::{Error, Handle, Result};

/// The version of the handle. Version 2 was that of containers that earlier builds took over from other products.
const VERSION: u32 = 1;

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
}

impl HandleData {
    /// The handle of a workload with this data.
    pub(crate) fn to_handle(&self, uid: &str) -> Handle {
        let data = match self.target_port {
            Some(port) => serde_json::json!({ "container": self.container, "target_port": port }),
            None => serde_json::json!({ "container": self.container }),
        };
        Handle { uid: uid.to_owned(), version: VERSION, data }
    }

    /// The data of a handle; a handle of an unknown version, or of another runtime, is refused.
    pub(crate) fn read(handle: &Handle) -> Result<Self> {
        let data: Self = handle.read(VERSION, "a container")?;
        // The id becomes a part of a URL's path, so its form is checked.
        if data.container.len() != ID_LEN || !data.container.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::invalid("the stored handle names no container's id"));
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
            let data = HandleData { container: "0af3".repeat(16), target_port };
            assert_eq!(HandleData::read(&data.to_handle("u")).unwrap(), data);
        }
    }

    #[test]
    fn handles_of_others_are_refused_in_words() {
        let handle = |version, data| Handle { uid: "u".to_owned(), version, data };
        let own = serde_json::json!({ "container": "0af3".repeat(16) });
        for version in [2, 3] {
            let other = HandleData::read(&handle(version, own.clone())).unwrap_err();
            assert_eq!(other.code, ErrorCode::Unsupported);
            assert!(other.message.contains(&format!("version {version}")), "{other}");
        }
        let short = "0af3".repeat(15);
        let name = "name".repeat(16);
        for container in ["", "../images/json", &short, &name] {
            let data = serde_json::json!({ "container": container });
            assert_eq!(HandleData::read(&handle(1, data)).unwrap_err().code, ErrorCode::InvalidArgument);
        }
    }
}
