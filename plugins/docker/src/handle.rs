//! The handle of these runtimes, as the host stores it.
use serde::{Deserialize, Serialize};
use wharf_sdk::{Error, ErrorCode, Handle, Result};

/// The version of the form below.
const VERSION: u32 = 1;

/// The length of a container's id. An engine takes names and beginnings of ids as well, which may come to mean another.
const ID_LEN: usize = 64;

/// Which container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandleData {
    /// Its id: what it is found by, whatever becomes of its name.
    pub(crate) container: String,
    /// The port inside the container; none: it speaks over stdin and stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target_port: Option<u16>,
}

impl HandleData {
    /// As a handle.
    pub(crate) fn to_handle(&self, uid: &str) -> Handle {
        let data = match self.target_port {
            Some(port) => serde_json::json!({ "container": self.container, "target_port": port }),
            None => serde_json::json!({ "container": self.container }),
        };
        Handle { uid: uid.to_owned(), version: VERSION, data }
    }

    /// From a handle; one of another version, or of another runtime, is refused.
    pub(crate) fn read(handle: &Handle) -> Result<Self> {
        if handle.version != VERSION {
            let message = format!(
                "the stored handle has version {}, and this plugin knows version {VERSION}; use the plugin that \
                 started the workload, or remove the workload with --forget",
                handle.version
            );
            return Err(Error::new(ErrorCode::Unsupported, message));
        }
        let data: Self = serde_json::from_value(handle.data.clone())
            .map_err(|error| Error::invalid(format!("the stored handle is none of a container: {error}")))?;
        // The id becomes part of a path.
        if data.container.len() != ID_LEN || !data.container.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::invalid("the stored handle names no container's id"));
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
            let data = HandleData { container: "0af3".repeat(16), target_port };
            assert_eq!(HandleData::read(&data.to_handle("u")).unwrap(), data);
        }
    }

    #[test]
    fn handles_of_others_are_refused_in_words() {
        let handle = |version, data| Handle { uid: "u".to_owned(), version, data };
        let newer = HandleData::read(&handle(2, serde_json::json!({}))).unwrap_err();
        assert_eq!(newer.code, ErrorCode::Unsupported);
        assert!(newer.message.contains("version 2"), "{newer}");
        let short = "0af3".repeat(15);
        let name = "name".repeat(16);
        for container in ["", "../images/json", &short, &name] {
            let data = serde_json::json!({ "container": container });
            assert_eq!(HandleData::read(&handle(1, data)).unwrap_err().code, ErrorCode::InvalidArgument);
        }
    }
}
