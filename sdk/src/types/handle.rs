//! [`Handle`]: stored by the host, so that a plugin finds a workload again.
use super::{Error, ErrorCode, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Lets a plugin find its workload again. `deploy` makes it, the host stores it before `start` and passes it to every
/// operation, also from another process and to a newer version of the plugin. Plugins keep no state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Handle {
    /// The uid of the workload. The host checks it.
    pub uid: String,
    /// The version of `data`'s form; a plugin refuses a version that it does not know, and names it.
    pub version: u32,
    /// The plugin's data; the host never reads it. No secrets: it is written to disk.
    pub data: serde_json::Value,
}

impl Handle {
    /// Reads the plugin's own data of this version. `kind` names the object of the handle for errors, such as `a container`.
    ///
    /// # Errors
    /// The handle has another version, or data of another form.
    pub fn read<T: DeserializeOwned>(&self, version: u32, kind: &str) -> Result<T> {
        if self.version != version {
            let message = format!(
                "the stored handle has version {}, and this plugin knows version {version}; use the plugin that started \
                 the workload, or remove the workload with --forget",
                self.version
            );
            return Err(Error::new(ErrorCode::Unsupported, message));
        }
        serde_json::from_value(self.data.clone())
            .map_err(|error| Error::invalid(format!("the stored handle is none of {kind}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_of_another_version_or_form_is_refused_in_words() {
        let handle = |version, data| Handle { uid: "u".to_owned(), version, data };
        let read = |handle: Handle| handle.read::<u16>(1, "a port");
        assert_eq!(read(handle(1, 80.into())).unwrap(), 80);
        let newer = read(handle(2, 80.into())).unwrap_err();
        assert_eq!(newer.code, ErrorCode::Unsupported);
        assert!(newer.message.contains("version 2"), "{newer}");
        let other = read(handle(1, "x".into())).unwrap_err();
        assert_eq!(other.code, ErrorCode::InvalidArgument);
        assert!(other.message.contains("none of a port"), "{other}");
    }
}
