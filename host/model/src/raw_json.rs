//! [`Opaque`]: a member that wharf stores for somebody else, kept as the text it is. A listing of thousands of records
//! builds nothing of it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// Any JSON, not looked into until its reader wants it. Equal to whatever says the same.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Opaque(Box<RawValue>);

impl Opaque {
    /// What this says.
    pub fn of(content: &impl Serialize) -> serde_json::Result<Self> {
        to_raw_value(content).map(Self)
    }

    /// Whether anybody can read it: of numbers, escapes and depths its text alone proves nothing.
    pub fn check(&self) -> serde_json::Result<()> {
        self.read::<Value>().map(drop)
    }

    /// What it says, in the form that its reader knows.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.0.get())
    }
}

/// Anew, not as it is spelled: the text may have line breaks, where the document that it becomes part of has none.
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
