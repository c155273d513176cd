//! Fuzz targets of this package: bytes that a server or a client may send. Called by `fuzz/` and by the tests below.
use crate::http::admission::{Gate, accepts_both, accepts_events, era_headers, is_json};
use crate::protocol::json::scan;
use crate::protocol::message::{Id, Message};
use crate::protocol::options::ProxyOptions;
use axum::http::{HeaderName, HeaderValue, Request, Uri};
use bytes::Bytes;

/// The depth that targets allow.
const DEPTH: usize = 64;

/// The scanner accepts what serde_json accepts; its output means the same and is one line.
///
/// # Panics
/// If it is not so.
pub fn json_scan(input: &[u8]) {
    let (scanned, result) = scan(&Bytes::copy_from_slice(input), DEPTH);
    if result.is_err() {
        return;
    }
    let text = &scanned.text;
    assert!(!text.contains(&b'\n') && !text.contains(&b'\r'), "the line ends within the message");
    // serde_json refuses numbers beyond f64, which the scanner passes on as they are written.
    let (Ok(before), Ok(after)) = (
        serde_json::from_slice::<serde_json::Value>(input),
        serde_json::from_slice::<serde_json::Value>(text),
    ) else {
        return;
    };
    assert_eq!(before, after, "the message was changed");
}

/// A message that was taken can be written with another id and read again.
///
/// # Panics
/// If it cannot.
pub fn mcp_message(input: &[u8]) {
    let Ok(message) = Message::parse(&Bytes::copy_from_slice(input), DEPTH) else { return };
    let _ = (message.method(), message.param_str("name"), message.has_modern_meta());
    if message.id().is_none() {
        return;
    }
    let with_id = Bytes::from(message.text_with_id(b"4711"));
    let again = Message::parse(&with_id, DEPTH).expect("a message with another id is a message");
    assert_eq!(again.id(), Id::from_json(b"4711").as_ref());
    assert_eq!(again.method(), message.method());
}

/// The gate judges any head without a panic, and lets none in that has not exactly one Host of ours.
///
/// # Panics
/// If it does.
pub fn http_admission(input: &[u8]) {
    let Some(parts) = head(input) else { return };
    let gate = Gate::new(&ProxyOptions {
        allowed_hosts: vec!["proxy.example".to_owned()],
        ..ProxyOptions::default()
    });
    let admission = gate.admit(&parts);
    let _ = (era_headers(&parts.headers), is_json(&parts.headers));
    let _ = (accepts_both(&parts.headers), accepts_events(&parts.headers));
    if admission.refusal.is_none() {
        let hosts: Vec<_> = parts.headers.get_all("host").iter().collect();
        assert_eq!(hosts.len(), 1, "a request without one Host was let in");
    }
}

/// A head of lines: the URI, then `name:value`; none where hyper would not have passed it on either.
fn head(input: &[u8]) -> Option<axum::http::request::Parts> {
    let mut lines = input.split(|&byte| byte == b'\n');
    let uri = Uri::try_from(lines.next()?).ok()?;
    let mut request = Request::builder().uri(uri);
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        request = request.header(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_scanner_stands_its_corpus() {
        wharf_fuzz_replay::replay("json_scan", super::json_scan);
    }

    #[test]
    fn messages_stand_their_corpus() {
        wharf_fuzz_replay::replay("mcp_message", super::mcp_message);
    }

    #[test]
    fn the_gate_stands_its_corpus() {
        wharf_fuzz_replay::replay("http_admission", super::http_admission);
    }
}
