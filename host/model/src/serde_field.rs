//! Functions about single fields of JSON. Both kinds of record name most of them in their `serde` attributes.
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

/// True of a JSON value that says as little as a missing field: null, false, zero, or empty.
#[must_use]
pub fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(number) => number.as_u64() == Some(0),
        Value::Bool(true) => false,
    }
}
