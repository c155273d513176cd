//! The checks before a body is looked at (`docs/mcp.md`, 2.0 to 2.4): the sender (`Host`, `Origin`), and the types. Both
//! kinds of proxy use them, so that an HTTP server gets the same protection.
use crate::http::refusal::Refusal;
use crate::http::refusal::single;
use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::http::access::{Access, AccessRule};
use crate::http::classify::EraHeaders;
use crate::http::serve::ThroughOwnSocket;
use crate::protocol::options::ProxyOptions;

/// `Mcp-Session-Id`.
pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// `MCP-Protocol-Version`.
pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `Last-Event-ID`.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// True if a name can mean nothing but this machine: a page of somebody else cannot be served under it.
fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name == "[::1]"
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// The rule on whom one workload's proxy serves, and its allow-lists.
#[derive(Debug)]
pub(crate) struct Gate {
    access: Access,
    hosts: Vec<String>,
    origins: Vec<String>,
}

/// The gate's word on a request.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The origin that may read the answer, if it is an allowed browser's.
    pub(crate) origin: Option<HeaderValue>,
    /// The reason why the request is not served.
    pub(crate) refusal: Option<Refusal>,
}

impl Gate {
    pub(crate) fn new(options: &ProxyOptions) -> Self {
        let lower = |values: &[String]| {
            values.iter().map(|value| value.trim().trim_end_matches('/').to_ascii_lowercase()).collect()
        };
        Self {
            access: options.access.clone(),
            hosts: lower(&options.allowed_hosts),
            origins: lower(&options.allowed_origins),
        }
    }

    /// Judges a request by its head.
    pub(crate) fn admit(&self, parts: &Parts) -> Admission {
        let is_own_socket = parts.extensions.get::<ThroughOwnSocket>().is_some();
        // A user who can open the socket can read the secret, too.
        let rule = if is_own_socket { AccessRule::Everybody } else { self.access.rule() };
        let admitted = rule.admit_path(parts).and_then(|()| self.admit_page(&rule, parts, is_own_socket));
        let origin = match admitted {
            Ok(origin) => origin,
            Err(refusal) => return Admission { origin: None, refusal: Some(refusal) },
        };
        let is_preflight = parts.method == Method::OPTIONS && origin.is_some();
        let refusal = rule.admit_sender(parts, is_preflight).err();
        Admission { origin, refusal }
    }

    /// The origin of the page that asks, if it is one and may.
    fn admit_page(
        &self,
        rule: &AccessRule,
        parts: &Parts,
        is_own_socket: bool,
    ) -> Result<Option<HeaderValue>, Refusal> {
        let host = single(&parts.headers, &HOST).ok_or(Refusal::NoHost)?;
        if !is_coding_known(&parts.headers) {
            return Err(Refusal::Coding);
        }
        // A page under a name that leads here (DNS rebinding) has no token. So a proxy that needs one may be reached by any
        // name, for instance on a network or behind another proxy. A Unix socket cannot be opened by a browser, and has no
        // name in HTTP: clients send any `Host` there.
        let is_any_name_ours = is_own_socket || matches!(rule, AccessRule::Bearer(_));
        let is_ours = || self.is_host_allowed(host.as_bytes()) && self.is_authority_allowed(&parts.uri);
        if !is_any_name_ours && !is_ours() {
            return Err(Refusal::Host);
        }
        if !parts.headers.contains_key(ORIGIN) {
            return Ok(None);
        }
        let origin = single(&parts.headers, &ORIGIN).ok_or(Refusal::Origin)?;
        let text = origin.to_str().map_err(|_| Refusal::Origin)?;
        if self.is_origin_allowed(rule, text) { Ok(Some(origin.clone())) } else { Err(Refusal::Origin) }
    }

    fn is_authority_allowed(&self, uri: &Uri) -> bool {
        uri.authority().is_none_or(|authority| self.is_host_allowed(authority.as_str().as_bytes()))
    }

    fn is_host_allowed(&self, host: &[u8]) -> bool {
        let Ok(host) = std::str::from_utf8(host) else { return false };
        let Some(name) = name_without_port(host) else { return false };
        if is_loopback(name) {
            return true;
        }
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(host))
    }

    fn is_origin_allowed(&self, rule: &AccessRule, origin: &str) -> bool {
        if self.origins.iter().any(|known| known.eq_ignore_ascii_case(origin)) {
            return true;
        }
        // Without a secret, origins on localhost are refused: a workload may serve a page there, and the browser of its
        // visitor would send the requests.
        if !rule.needs_secret() {
            return false;
        }
        let Some((scheme, host)) = origin.split_once("://") else { return false };
        (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
            && name_without_port(host).is_some_and(is_loopback)
    }
}

/// The name in `name`, `name:port` or `[v6]:port`; `None` if what follows the name is no port.
fn name_without_port(host: &str) -> Option<&str> {
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, rest) = host.split_at(end);
    let port = rest.strip_prefix(':');
    (rest.is_empty() || port.is_some_and(|port| port.parse::<u16>().is_ok())).then_some(name)
}

/// True if a text can be a name in `Host`: `name`, `name:port`, `[v6]` or `[v6]:port`.
pub fn is_host(text: &str) -> bool {
    let Some(name) = name_without_port(text) else { return false };
    let port = text[name.len()..].strip_prefix(':');
    let is_port = port.is_none_or(|port| !port.starts_with('+') && port.parse() != Ok(0_u16));
    let is_name = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !name.is_empty() && name.bytes().all(fits)
        }
    };
    is_port && is_name
}

/// True if a text can be what a browser sends as `Origin`: `scheme://host` or `scheme://host:port`. `null` would be every page
/// without one.
pub fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme && is_host(host.strip_suffix('/').unwrap_or(host))
}

/// True if a text can be the path of a URL, without query.
pub fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && !text.contains(['?', '#'])
        && text.parse::<Uri>().is_ok_and(|uri| uri.path() == text)
}

/// A header that decides about a message is given twice or is no visible ASCII: another reader may take another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a header of MCP is given twice or holds more than visible ASCII")]
pub(crate) struct UnclearHeader;

/// A header's text, if it is given.
pub(crate) fn header_text<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, UnclearHeader> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let text = single(headers, name).and_then(|value| value.to_str().ok()).ok_or(UnclearHeader)?;
    Ok(Some(text.trim()))
}

/// The headers that decide about the era.
pub(crate) fn era_headers(headers: &HeaderMap) -> Result<EraHeaders<'_>, UnclearHeader> {
    Ok(EraHeaders {
        version: header_text(headers, &PROTOCOL_VERSION)?,
        session: header_text(headers, &SESSION_ID)?,
    })
}

/// True if the body comes as it is, or in chunks: nothing here undoes another transfer coding.
fn is_coding_known(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    codings.all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// True if the body is declared to be JSON (browsers send anything else without asking first) in UTF-8, and not packed.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    if !encodings.all(|encoding| encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity")) {
        return false;
    }
    let Some(value) = single(headers, &CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().unwrap_or_default().eq_ignore_ascii_case("application/json");
    is_json
        && parts.filter_map(|part| part.split_once('=')).all(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset")
                || ["utf-8", "utf8", "us-ascii"]
                    .iter()
                    .any(|known| value.trim().trim_matches('"').eq_ignore_ascii_case(known))
        })
}

/// True if both types that a POST may be answered with are acceptable.
pub(crate) fn accepts_both(headers: &HeaderMap) -> bool {
    accepts(headers, "application", "json") && accepts_events(headers)
}

/// True if a stream of events is acceptable.
pub(crate) fn accepts_events(headers: &HeaderMap) -> bool {
    accepts(headers, "text", "event-stream")
}

fn accepts(headers: &HeaderMap, kind: &str, subtype: &str) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let Some((left, right)) = parts.next().and_then(|media| media.split_once('/')) else {
                return false;
            };
            let refused = parts.any(|parameter| {
                parameter.split_once('=').is_some_and(|(name, q)| {
                    name.trim().eq_ignore_ascii_case("q") && q.trim().parse() == Ok(0.0f32)
                })
            });
            let fits = |given: &str, wanted: &str| given == "*" || given.eq_ignore_ascii_case(wanted);
            !refused && fits(left, kind) && fits(right, subtype)
        })
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::{Gate, Refusal, accepts_both, is_host, is_json, is_origin, is_path};
    use crate::http::access::{Access, AccessRule};
    use crate::protocol::options::ProxyOptions;

    #[test]
    fn names_of_hosts_and_paths_are_told_from_other_texts() {
        for host in ["host.docker.internal", "box:8080", "[fd00::1]:80", "10.0.0.1"] {
            assert!(is_host(host), "{host}");
        }
        for other in ["", "http://box", "box/x", "box:port", "a b", "*", "*.lan"] {
            assert!(!is_host(other), "{other}");
        }
        for other in ["[x]", "[::1", "box:0", "box:+80", ":80"] {
            assert!(!is_host(other), "{other}");
        }
        for origin in
            ["https://app.example", "http://localhost:3000/", "chrome-extension://abcdef", "http://[::1]:80"]
        {
            assert!(is_origin(origin), "{origin}");
        }
        for other in [
            "",
            "null",
            "*",
            "app.example",
            "https://",
            "https://*.example",
            "https://app.example/x",
            "a b://c",
        ] {
            assert!(!is_origin(other), "{other}");
        }
        assert!(is_path("/mcp/") && is_path("/") && is_path("/api/v1/mcp"));
        for other in ["", "mcp", "/a?b", "/a#b", "/a b", "http://x/mcp"] {
            assert!(!is_path(other), "{other}");
        }
    }

    fn judge(rule: AccessRule, host: &str, origin: Option<&str>) -> Result<bool, Refusal> {
        let gate = Gate::new(&ProxyOptions {
            access: Access::new(rule),
            allowed_hosts: vec!["Box.lan".into(), "one.lan:8080".into()],
            allowed_origins: vec!["https://App.example/".into()],
            ..ProxyOptions::default()
        });
        let uri = if matches!(rule, AccessRule::Path(_)) { "/part/mcp" } else { "/mcp" };
        let mut request =
            Request::builder().uri(uri).header("host", host).header("authorization", "bearer part");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let admission = gate.admit(&request.body(()).unwrap().into_parts().0);
        admission.refusal.map_or(Ok(admission.origin.is_some()), Err)
    }

    #[test]
    fn only_loopback_and_listed_hosts_pass() {
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:65535",
            "127.0.0.2:80",
            "[::1]",
            "[::1]:80",
            "box.LAN:9",
            "one.lan:8080",
        ] {
            for rule in [AccessRule::Everybody, AccessRule::path("part")] {
                assert_eq!(judge(rule, host, None), Ok(false), "{host}");
            }
        }
        let bad = [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "128.0.0.1",
            "127.1",
            "localhost:x",
            "[::1",
            "",
            "one.lan",
            "one.lan:81",
            "localhost:99999",
            "evil.example:80@localhost",
            "[::1]x",
        ];
        for host in bad {
            for rule in [AccessRule::Everybody, AccessRule::path("part")] {
                assert_eq!(judge(rule, host, None), Err(Refusal::Host), "{host}");
            }
            assert_eq!(
                judge(AccessRule::bearer("part"), host, None),
                Ok(false),
                "its token proves it: {host}"
            );
        }
    }

    #[test]
    fn only_listed_origins_pass_and_those_of_loopback_where_a_secret_is_needed() {
        let secret = [AccessRule::path("part"), AccessRule::bearer("part")];
        for origin in ["http://localhost:3000", "https://127.0.0.2", "http://[::1]:5"] {
            for rule in secret {
                assert_eq!(judge(rule, "localhost", Some(origin)), Ok(true), "{origin}");
            }
            let everybody = judge(AccessRule::Everybody, "localhost", Some(origin));
            assert_eq!(everybody, Err(Refusal::Origin), "a page of any workload: {origin}");
        }
        for rule in secret.into_iter().chain([AccessRule::Everybody]) {
            assert_eq!(judge(rule, "localhost", Some("https://app.example")), Ok(true));
        }
        let bad = [
            "null",
            "http://evil.example",
            "https://localhost.evil.example",
            "file://localhost",
            "localhost",
            "http://localhost:1/x",
            "https://app.example:444",
            "",
        ];
        for origin in bad {
            for rule in secret.into_iter().chain([AccessRule::Everybody]) {
                assert_eq!(judge(rule, "localhost", Some(origin)), Err(Refusal::Origin), "{origin:?}");
            }
        }
    }

    #[test]
    fn both_answer_types_must_be_acceptable_and_the_body_json() {
        let accept = |value: &str| {
            let request =
                Request::builder().header("accept", value).header("content-type", value).body(()).unwrap();
            (accepts_both(request.headers()), is_json(request.headers()))
        };
        assert_eq!(accept("application/json, text/event-stream"), (true, false));
        assert_eq!(accept("*/*"), (true, false));
        assert_eq!(accept("application/*;q=0.5,TEXT/event-stream ; q=1"), (true, false));
        assert_eq!(accept("Application/JSON; charset=utf-8"), (false, true));
        assert_eq!(accept("application/json;x=y; Charset=\"UTF-8\""), (false, true));
        assert_eq!(accept("application/json; charset=utf-16"), (false, false));
        assert_eq!(accept("application/json, text/event-stream;q=0"), (false, false));
        assert_eq!(accept("application/jsonp"), (false, false));
    }
}
