//! Functions that read and write single fields. Both kinds of record name them in their `serde` attributes.
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads `null` as the default: Go writes an empty list or map that way.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// R07: an owner that is blank, or no text at all, counts as no owner, and the file is still valid.
pub(crate) fn text_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = Value::deserialize(deserializer)?;
    Ok(text.as_str().map(|text| text.trim().to_owned()).unwrap_or_default())
}

pub(crate) fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}
