//! How single fields are read and written, shared by both kinds of record; named in their `serde` attributes.
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Go writes an empty list or map as `null`.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// R07: an owner that is no text or blank is no owner, and the file is still a good one.
pub(crate) fn text_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = Value::deserialize(deserializer)?;
    Ok(text.as_str().map(|text| text.trim().to_owned()).unwrap_or_default())
}

pub(crate) fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}
