//! [`SchemaVersion`]: the version of a file's shape, so that an older wharf does not rewrite a file that it does not
//! understand.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The version of a file's shape, written `v0.1.0`. A suffix (`-rc1`, `+build`) is read and dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct SchemaVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a schema version looks like v0.1.0, not like {text:?}")]
pub struct SchemaVersionError {
    /// The beginning of the text.
    pub text: String,
}

impl SchemaVersion {
    /// The newest shape that this wharf writes. ToolHive's RunConfigs have the same version.
    pub const CURRENT: Self = Self { major: 0, minor: 1, patch: 0 };

    /// Whether a wharf that knows only [`SchemaVersion::CURRENT`] must leave the file as it is.
    #[must_use]
    pub fn is_newer(self) -> bool {
        self > Self::CURRENT
    }
}

/// The version of a file that does not name one, such as ToolHive's status files.
impl Default for SchemaVersion {
    fn default() -> Self {
        Self::CURRENT
    }
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for SchemaVersion {
    type Err = SchemaVersionError;

    fn from_str(text: &str) -> Result<Self, SchemaVersionError> {
        const SHOWN: usize = 40;
        let refused = || SchemaVersionError { text: text.chars().take(SHOWN).collect() };
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let core = numbers.split(['-', '+']).next().unwrap_or(numbers);
        let mut parts = core.split('.').map(|part| part.parse::<u32>().ok());
        let mut next = || parts.next().flatten().ok_or_else(refused);
        let version = Self { major: next()?, minor: next()?, patch: next()? };
        if core.split('.').count() == 3 { Ok(version) } else { Err(refused()) }
    }
}

impl TryFrom<String> for SchemaVersion {
    type Error = SchemaVersionError;

    fn try_from(text: String) -> Result<Self, SchemaVersionError> {
        text.parse()
    }
}

impl From<SchemaVersion> for String {
    fn from(version: SchemaVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> SchemaVersion {
        text.parse().unwrap()
    }

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        assert!(version("v0.10.0") > version("v0.9.9") && version("v1.0.0") > version("v0.99.0"));
        assert_eq!(version("0.1.0-rc1"), SchemaVersion::CURRENT);
        assert!(version("v0.1.1").is_newer() && !version("v0.0.9").is_newer());
        assert_eq!(version("v0.2.0").to_string(), "v0.2.0");
    }

    #[test]
    fn a_text_that_is_no_schema_version_is_refused() {
        for text in ["", "v", "1", "v1.2", "v1.2.3.4", "v1.x.0", "v-1.0.0", "v99999999999.0.0"] {
            assert!(text.parse::<SchemaVersion>().is_err(), "{text:?}");
        }
    }
}
