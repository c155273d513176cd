//! Which era a POST belongs to (`docs/mcp.md`, 1), judged per request, never per connection.
//!
//! Only the session-based revisions are served so far. A request of the stateless era is recognised and answered
//! so that a client of both eras falls back to `initialize`: status 400 with a body whose code is none of -32020,
//! -32021, -32022 (M basic/versioning#backward-compatibility: "anything else identifies a legacy server"). The
//! code is -32601 rather than -32600: early dual-era clients fall back on -32601 alone (rust-sdk issue 1040,
//! python-sdk pull 2950), and one refuses to fall back when a -32600 names `Mcp-Session-Id` (csharp-sdk issue
//! 1790). The status is not 404: there -32601 is a modern server's word for an unknown method. For the same
//! reason an unknown version without `_meta` is not answered -32022 while there is no modern version to list.
use crate::protocol::message::{Message, Shape};
use crate::protocol::revision::{Revision, is_modern};

/// Headers that decide, as sent.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct EraHeaders<'a> {
    /// `MCP-Protocol-Version`.
    pub(crate) version: Option<&'a str>,
    /// `Mcp-Session-Id`.
    pub(crate) session: Option<&'a str>,
}

/// The kinds of POST of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era<'a> {
    /// A request of the stateless era (rules 2 and 3).
    Modern,
    /// A notification of the stateless era: accepted, without effect (rule 8).
    ModernNotification,
    /// Opens a session (rule 4).
    LegacyOpening,
    /// Belongs to a session (rule 5).
    LegacySession(&'a str),
    /// Belongs to neither.
    Neither(Misfit),
}

/// The reason why a message belongs to no era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Its session's version header names no revision served (rule 5).
    UnservedRevision,
    /// A version that nobody knows, and no session (rule 6).
    UnknownVersion,
    /// No session, and no `initialize` (rule 7).
    SessionMissing,
    /// An answer without a session (rule 9).
    ResponseWithoutSession,
}

impl Misfit {
    /// The text of its -32600.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::UnservedRevision | Self::UnknownVersion => {
                "MCP-Protocol-Version names no revision served here"
            }
            Self::SessionMissing => "Mcp-Session-Id missing: open a session with initialize",
            Self::ResponseWithoutSession => "a response needs the session that its request was sent to",
        }
    }
}

/// The error of a request of the stateless era.
pub(crate) const MODERN_REFUSAL: &str =
    "method not found: session-based revisions are served here, use initialize";

/// Judges a message by the first rule that matches. (Rule 1, arrays, needs the session and is the caller's.)
pub(crate) fn classify<'a>(headers: EraHeaders<'a>, message: &Message) -> Era<'a> {
    let modern_version = headers.version.is_some_and(is_modern);
    let is_request = matches!(message.shape(), Shape::Request { .. });
    if message.has_modern_meta() || (modern_version && is_request) {
        return if is_request { Era::Modern } else { Era::ModernNotification };
    }
    if is_request && message.method() == Some("initialize") {
        return Era::LegacyOpening;
    }
    if let Some(session) = headers.session {
        return match headers.version {
            Some(version) if Revision::parse(version).is_none() => Era::Neither(Misfit::UnservedRevision),
            _ => Era::LegacySession(session),
        };
    }
    match message.shape() {
        Shape::Response { .. } => Era::Neither(Misfit::ResponseWithoutSession),
        Shape::Notification { .. } if modern_version => Era::ModernNotification,
        _ if headers.version.is_some_and(|version| Revision::parse(version).is_none()) => {
            Era::Neither(Misfit::UnknownVersion)
        }
        _ => Era::Neither(Misfit::SessionMissing),
    }
}

#[cfg(test)]
mod tests {
    use super::{Era, EraHeaders, Misfit, classify};
    use crate::protocol::message::Message;

    const META: &str = r#""params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;

    #[test]
    fn the_first_matching_rule_of_the_table_decides() {
        let request = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        let modern = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}",{META}}}"#);
        let notification = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#.to_owned();
        let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned();
        let cases = [
            (modern("tools/list"), None, None, Era::Modern),
            (modern("initialize"), None, Some("s"), Era::Modern),
            (modern("tools/list"), Some("2025-11-25"), Some("s"), Era::Modern),
            (request("tools/list"), Some("2026-07-28"), None, Era::Modern),
            (request("initialize"), Some("2026-07-28"), None, Era::Modern),
            (request("initialize"), Some("v999"), Some("gone"), Era::LegacyOpening),
            (request("tools/list"), None, Some("s"), Era::LegacySession("s")),
            (request("tools/list"), Some("2025-06-18"), Some("s"), Era::LegacySession("s")),
            (request("tools/list"), Some("v999"), Some("s"), Era::Neither(Misfit::UnservedRevision)),
            (request("tools/list"), Some("v999"), None, Era::Neither(Misfit::UnknownVersion)),
            (request("server/discover"), None, None, Era::Neither(Misfit::SessionMissing)),
            (request("tools/list"), Some("2025-11-25"), None, Era::Neither(Misfit::SessionMissing)),
            (notification.clone(), Some("2026-07-28"), None, Era::ModernNotification),
            (notification, None, None, Era::Neither(Misfit::SessionMissing)),
            (response.clone(), Some("2026-07-28"), None, Era::Neither(Misfit::ResponseWithoutSession)),
            (response, None, Some("s"), Era::LegacySession("s")),
        ];
        for (text, version, session, expected) in cases {
            let message = Message::parse(&text.clone().into(), 128).unwrap();
            assert_eq!(classify(EraHeaders { version, session }, &message), expected, "{text} {version:?}");
        }
    }
}
