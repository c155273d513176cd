//! [`ClientCapabilities`]: what a client offers to a server. Read from its `initialize` when its session is opened; asked before the
//! server's questions are passed on.
use serde_json::Value;

/// The abilities that a client declared in `initialize`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ClientCapabilities {
    pub(crate) sampling: bool,
    pub(crate) roots: bool,
    pub(crate) elicitation: bool,
    pub(crate) elicitation_form: bool,
    pub(crate) elicitation_url: bool,
}

/// The most bytes of what is passed on. It is kept for as long as a server is waited for, as values, which are many times as
/// large as their text.
const MOST_PASSED_ON: usize = 4096;

impl ClientCapabilities {
    /// The words of an `initialize` on the abilities that are passed on, for a server that has this client alone. `None` if they
    /// are too long.
    pub(crate) fn passed_on(raw: Option<&[u8]>) -> Option<Value> {
        let value: Value = raw.and_then(|raw| serde_json::from_slice(raw).ok()).unwrap_or_default();
        let mut offered = serde_json::Map::new();
        for name in ["roots", "sampling", "elicitation"] {
            if let Some(known) = value.get(name).filter(|known| known.is_object()) {
                offered.insert(name.to_owned(), known.clone());
            }
        }
        let offered = Value::Object(offered);
        (offered.to_string().len() <= MOST_PASSED_ON).then_some(offered)
    }

    /// Reads the `capabilities` of an `initialize`. An empty `elicitation` means forms (2025-06-18 knew no other).
    pub(crate) fn from_json(raw: Option<&[u8]>) -> Self {
        let value: Value = raw.and_then(|raw| serde_json::from_slice(raw).ok()).unwrap_or_default();
        let has = |name: &str| value.get(name).is_some_and(Value::is_object);
        let elicitation = value.get("elicitation").and_then(Value::as_object);
        let mode = |name: &str| elicitation.is_some_and(|modes| modes.contains_key(name));
        Self {
            sampling: has("sampling"),
            roots: has("roots"),
            elicitation: elicitation.is_some(),
            elicitation_form: elicitation.is_some_and(|modes| modes.is_empty() || modes.contains_key("form")),
            elicitation_url: mode("url"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ClientCapabilities;

    #[test]
    fn empty_elicitation_means_forms() {
        let read = |text: &str| ClientCapabilities::from_json(Some(text.as_bytes()));
        let forms = read(r#"{"elicitation":{}}"#);
        assert!(forms.elicitation_form && !forms.elicitation_url && !forms.sampling);
        let urls = read(r#"{"elicitation":{"url":{}},"sampling":{}}"#);
        assert!(!urls.elicitation_form && urls.elicitation_url && urls.sampling);
        assert_eq!(ClientCapabilities::from_json(None), ClientCapabilities::default());
    }
}
