//! A JSON-RPC message read only as far as routing needs: id, method, and where `params` and `_meta` lie.
//!
//! Payloads are passed on as the same bytes. Rewriting replaces exactly the members that hold an id (`docs/mcp.md`, 8.3:
//! `id`, `requestId`, `progressToken`) and drops those that a shared server must not see.
use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use crate::protocol::forgiven;
use crate::protocol::json;
use crate::protocol::json::{JsonError, Level, Scan};

/// A request id as its sender wrote it: a JSON string or integer, compacted, the type kept.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Id(Box<[u8]>);

impl Id {
    /// Takes a compacted JSON value; `None` unless it is a string or an integer.
    pub(crate) fn from_json(raw: &[u8]) -> Option<Self> {
        let is_text = raw.first() == Some(&b'"');
        if is_text && raw.contains(&b'\\') {
            // Each id has one spelling: a cancellation may write the same id with other escapes. Half a surrogate pair is
            // no text, and such an id stays as it is.
            let text = serde_json::from_slice::<String>(raw);
            return Some(text.map_or_else(
                |_| Self(raw.into()),
                |text| Self(line_text(&text.into()).into_bytes().into()),
            ));
        }
        let digits = raw.strip_prefix(b"-").unwrap_or(raw);
        let is_integer = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        (is_text || is_integer).then(|| Self(raw.into()))
    }

    /// An integer.
    pub(crate) fn of_number(number: u64) -> Self {
        Self(number.to_string().into_bytes().into())
    }

    /// The id as JSON.
    pub(crate) fn as_json(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Id({})", String::from_utf8_lossy(&self.0))
    }
}

/// The kind of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Wants an answer.
    Request { id: Id, method: String },
    /// Wants none.
    Notification { method: String },
    /// Is one.
    Response { id: Id, is_error: bool },
}

/// The reason why a text is no message, with the id if it could be read.
#[derive(Debug)]
pub(crate) enum MessageError {
    /// No JSON at all (-32700).
    Json(JsonError),
    /// JSON, but not one JSON-RPC message (-32600). `is_answer`: it has the looks of a response all the same.
    Invalid { id: Option<Id>, reason: &'static str, is_answer: bool },
}

/// One message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    scan: Scan,
    shape: Shape,
}

/// The changes to a message that passes.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Rewrite<'a> {
    /// The new `id`.
    pub(crate) id: Option<&'a [u8]>,
    /// A member of `params` and its new value.
    pub(crate) param: Option<(&'a str, &'a [u8])>,
    /// The new `_meta.progressToken`.
    pub(crate) progress_token: Option<&'a [u8]>,
    /// Drop `task` (tasks of a shared server would cross clients) and the other era's leftovers in `_meta`.
    pub(crate) strip: bool,
}

/// Members of `_meta` that make a dual-era server change its behaviour.
const MODERN_META: [&str; 4] = [
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/logLevel",
];

impl Message {
    /// Reads one message.
    pub(crate) fn parse(input: &Bytes, depth: usize) -> Result<Self, MessageError> {
        let (scan, result) = json::scan(input, depth);
        result.map_err(MessageError::Json)?;
        Self::from_scan(scan)
    }

    /// Judges a scanned text of a client.
    pub(crate) fn from_scan(scan: Scan) -> Result<Self, MessageError> {
        Self::judged(scan, false)
    }

    /// Judges a scanned text of a server.
    pub(crate) fn of_server(scan: Scan) -> Result<Self, MessageError> {
        Self::judged(scan, true)
    }

    fn judged(scan: Scan, is_server: bool) -> Result<Self, MessageError> {
        // Before any member is left out: one that is given twice is refused, whatever it holds.
        let has_duplicate_keys = scan.has_duplicate_keys();
        let scan = if has_duplicate_keys { scan } else { forgiven::without_nulls(scan, is_server) };
        let is_answer = is_answer(&scan);
        let id_text = scan.value(Level::Top, "id");
        // The id of an answer is one that we gave, and ours are integers.
        let of_answer = || id_text.and_then(forgiven::own_id).filter(|_| is_answer).map(Id::of_number);
        let id = id_text.and_then(Id::from_json).or_else(of_answer);
        let invalid = |reason| MessageError::Invalid { id: id.clone(), reason, is_answer };
        if scan.text.first() != Some(&b'{') {
            return Err(invalid("not a JSON-RPC object"));
        }
        if has_duplicate_keys {
            return Err(invalid("a member is given twice"));
        }
        if scan.value(Level::Top, "jsonrpc") != Some(b"\"2.0\"") {
            return Err(invalid("jsonrpc is not \"2.0\""));
        }
        if id_text.is_some() && id.is_none() {
            return Err(invalid("id is neither a string nor an integer"));
        }
        if scan.value(Level::Top, "params").is_some_and(|params| params.first() != Some(&b'{')) {
            return Err(invalid("params is not an object"));
        }
        let is_error = scan.member(Level::Top, "error").is_some();
        let is_result = scan.member(Level::Top, "result").is_some();
        let shape = match (scan.value(Level::Top, "method"), id.clone()) {
            (Some(method), id) => {
                let Some(method) = text(method).map(Cow::into_owned) else {
                    return Err(invalid("method is not a string"));
                };
                if is_error || is_result {
                    return Err(invalid("both a method and a result"));
                }
                id.map_or(Shape::Notification { method: method.clone() }, |id| Shape::Request { id, method })
            }
            (None, Some(id)) if is_error != is_result => Shape::Response { id, is_error },
            (None, _) => return Err(invalid("neither a request, a notification nor a response")),
        };
        Ok(Self { scan, shape })
    }

    /// The kind of a message.
    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The method of a request or notification.
    pub(crate) fn method(&self) -> Option<&str> {
        match &self.shape {
            Shape::Request { method, .. } | Shape::Notification { method } => Some(method),
            Shape::Response { .. } => None,
        }
    }

    /// The id of a request or response.
    pub(crate) fn id(&self) -> Option<&Id> {
        match &self.shape {
            Shape::Request { id, .. } | Shape::Response { id, .. } => Some(id),
            Shape::Notification { .. } => None,
        }
    }

    /// A member of the message as JSON.
    pub(crate) fn top(&self, name: &str) -> Option<&[u8]> {
        self.scan.value(Level::Top, name)
    }

    /// A member of `params` as JSON.
    pub(crate) fn param(&self, name: &str) -> Option<&[u8]> {
        self.scan.value(Level::Params, name)
    }

    /// A member of `params` that is a string.
    pub(crate) fn param_str(&self, name: &str) -> Option<Cow<'_, str>> {
        text(self.param(name)?)
    }

    /// A member of `params._meta` as JSON.
    pub(crate) fn meta(&self, name: &str) -> Option<&[u8]> {
        self.scan.value(Level::Meta, name)
    }

    /// True if it carries what only the stateless revisions put into `_meta`.
    pub(crate) fn has_modern_meta(&self) -> bool {
        self.meta(MODERN_META[0]).is_some() || self.meta(MODERN_META[2]).is_some()
    }

    /// The whole message, compacted.
    pub(crate) fn text(&self) -> &[u8] {
        &self.scan.text
    }

    /// The whole message with its id replaced.
    pub(crate) fn text_with_id(&self, id: &[u8]) -> Vec<u8> {
        let text = &self.scan.text;
        let Some(place) = self.scan.member(Level::Top, "id").map(|member| &member.value) else {
            return text.to_vec();
        };
        [&text[..place.start], id, &text[place.end..]].concat()
    }

    /// The message as changed, and a newline: one line of stdin.
    pub(crate) fn line(&self, change: &Rewrite<'_>) -> Vec<u8> {
        let mut line = self.rewritten(change);
        line.push(b'\n');
        line
    }

    /// The message as changed.
    pub(crate) fn rewritten(&self, change: &Rewrite<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.scan.text.len() + 24);
        self.write_object(&mut out, Level::Top, change);
        out
    }

    fn write_object(&self, out: &mut Vec<u8>, level: Level, change: &Rewrite<'_>) {
        out.push(b'{');
        let mut first = true;
        for member in self.scan.members.iter().filter(|member| member.level == level) {
            let named = |name: &str| self.scan.is_named(member, name);
            let dropped = change.strip
                && match level {
                    Level::Top => false,
                    Level::Params => named("task") && self.may_be_task(),
                    Level::Meta => MODERN_META.into_iter().any(named),
                };
            if dropped {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            out.extend_from_slice(&self.scan.text[member.key.clone()]);
            out.push(b':');
            let replacement = match level {
                Level::Top if named("id") => change.id,
                Level::Params => change.param.filter(|(name, _)| named(name)).map(|(_, value)| value),
                Level::Meta if named("progressToken") => change.progress_token,
                Level::Top | Level::Meta => None,
            };
            let value = &self.scan.text[member.value.clone()];
            let is_object = value.first() == Some(&b'{');
            match replacement {
                Some(replacement) => out.extend_from_slice(replacement),
                None if level == Level::Top
                    && is_object
                    && named("params")
                    && self.touches_params(change) =>
                {
                    self.write_object(out, Level::Params, change);
                }
                None if level == Level::Params && is_object && named("_meta") => {
                    self.write_object(out, Level::Meta, change);
                }
                None => out.extend_from_slice(value),
            }
        }
        out.push(b'}');
    }

    /// True if `params.task` asks for a task (2025-11-25 basic/utilities/tasks); elsewhere it is a parameter like any.
    fn may_be_task(&self) -> bool {
        matches!(self.method(), Some("tools/call" | "sampling/createMessage" | "elicitation/create"))
    }

    /// True if `params` cannot be copied as one piece.
    fn touches_params(&self, change: &Rewrite<'_>) -> bool {
        change.param.is_some()
            || change.progress_token.is_some()
            || (change.strip
                && ((self.may_be_task() && self.param("task").is_some())
                    || MODERN_META.iter().any(|name| self.meta(name).is_some())))
    }
}

/// True if a scan, complete or not, has the looks of a response: no method, and the version; or an id and what a response
/// holds. (A log that is written as JSON has members named `id`, `result` and `error`, too, but hardly objects beside an id.)
pub(crate) fn is_answer(scan: &Scan) -> bool {
    let has = |name| scan.value(Level::Top, name).is_some_and(|value| value != b"null");
    let is_object = |name| scan.value(Level::Top, name).is_some_and(|value| value.first() == Some(&b'{'));
    let is_versioned = scan.value(Level::Top, "jsonrpc") == Some(b"\"2.0\"");
    !has("method") && (is_versioned || (has("id") && (is_object("result") || is_object("error"))))
}

/// A JSON string's content.
pub(crate) fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        return serde_json::from_slice(&forgiven::repaired(raw)).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

/// JSON of the proxy's own making that can be part of a line: without the three characters that some readers take for
/// line ends. (They occur only within strings, where an escape means the same.)
pub(crate) fn line_text(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(LINE_ENDS) {
        return text;
    }
    text.replace(LINE_ENDS[0], "\\u0085").replace(LINE_ENDS[1], "\\u2028").replace(LINE_ENDS[2], "\\u2029")
}

const LINE_ENDS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// JSON-RPC error codes that the proxy itself gives.
pub(crate) mod code {
    pub(crate) const PARSE: i32 = -32700;
    pub(crate) const INVALID_REQUEST: i32 = -32600;
    pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
    pub(crate) const INVALID_PARAMS: i32 = -32602;
    pub(crate) const INTERNAL: i32 = -32603;
}

/// A JSON-RPC error response; without an id the member is absent (it is never null).
pub(crate) fn error_text(id: Option<&[u8]>, code: i32, message: &str) -> Vec<u8> {
    let message = line_text(&message.into());
    let mut out = b"{\"jsonrpc\":\"2.0\",".to_vec();
    if let Some(id) = id {
        out.extend_from_slice(b"\"id\":");
        out.extend_from_slice(id);
        out.push(b',');
    }
    out.extend_from_slice(format!("\"error\":{{\"code\":{code},\"message\":{message}}}}}").as_bytes());
    out
}

/// A JSON-RPC result response around a result that is JSON already.
pub(crate) fn result_text(id: &[u8], result: &[u8]) -> Vec<u8> {
    [b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",\"result\":", result, b"}"].concat()
}

/// A notification or request of the proxy's own, without newline.
pub(crate) fn call_text(id: Option<&[u8]>, method: &str, params: Option<&[u8]>) -> Vec<u8> {
    let mut out = b"{\"jsonrpc\":\"2.0\",".to_vec();
    if let Some(id) = id {
        out.extend_from_slice(b"\"id\":");
        out.extend_from_slice(id);
        out.push(b',');
    }
    out.extend_from_slice(b"\"method\":\"");
    out.extend_from_slice(method.as_bytes());
    out.push(b'"');
    if let Some(params) = params {
        out.extend_from_slice(b",\"params\":");
        out.extend_from_slice(params);
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests;
