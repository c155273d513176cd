//! The revision to ask a server for that refused the one before: the newest that both sides know, as the error names them.
use serde_json::Value;

use crate::protocol::revision::Revision;

/// The members of an error's `data` that name what a server speaks; each is a text or an array of them.
const NAMED_IN: [&str; 2] = ["supported", "expected"];

/// The newest revision that an error names and that is served here, if it is not the one that was refused.
pub(crate) fn offered(error: &Value, refused: Revision) -> Option<Revision> {
    let known = named(error).filter_map(Revision::parse);
    known.filter(|revision| *revision != refused).max()
}

/// Every revision that an error names.
pub(crate) fn named(error: &Value) -> impl Iterator<Item = &str> {
    let lists = NAMED_IN.iter().filter_map(|name| error.get("data")?.get(name));
    lists.flat_map(|list| match list {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{named, offered};
    use crate::protocol::revision::Revision;

    #[test]
    fn the_newest_revision_that_both_know_is_taken() {
        let of = |data| offered(&json!({ "code": -32602, "data": data }), Revision::NEWEST);
        assert_eq!(of(json!({ "supported": ["2024-11-05", "2025-03-26"] })), Some(Revision::V2025_03_26));
        assert_eq!(of(json!({ "expected": "2024-11-05" })), Some(Revision::V2024_11_05));
        assert_eq!(of(json!({ "expected": ["2030-01-01", "2025-06-18"] })), Some(Revision::V2025_06_18));
        for none in [json!(null), json!({}), json!({ "supported": ["1.0"] }), json!({ "supported": [1] })] {
            assert_eq!(of(none.clone()), None, "{none}");
        }
        assert_eq!(of(json!({ "supported": ["2025-11-25"] })), None, "that was refused");
        let error = json!({ "data": { "supported": ["a", 1, "b"] } });
        assert_eq!(named(&error).collect::<Vec<_>>(), ["a", "b"]);
    }
}
