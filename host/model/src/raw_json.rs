//! [`Opaque`]: JSON that wharf stores for others (a plugin's handle), kept as text. A listing of thousands of records does
//! not parse it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// JSON that is not parsed before its reader wants it. Two are equal if their values are.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Opaque(Box<RawValue>);

impl Opaque {
    /// The JSON of a value.
    pub fn of(content: &impl Serialize) -> serde_json::Result<Self> {
        to_raw_value(content).map(Self)
    }

    /// Checks that it can be parsed completely. That it is well-formed does not show that yet: numbers, escapes and depth
    /// may be out of range.
    pub fn check(&self) -> serde_json::Result<()> {
        self.read::<Value>().map(drop)
    }

    /// Parses it into the type that its reader knows.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.0.get())
    }
}

/// Writes the value anew, not its text: the text may have line breaks, which must not get into a document of one line.
impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.read::<Value>().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl PartialEq for Opaque {
    fn eq(&self, other: &Self) -> bool {
        let value = |it: &Self| it.read::<Value>().ok();
        self.0.get() == other.0.get() || value(self).is_some_and(|mine| value(other) == Some(mine))
    }
}
