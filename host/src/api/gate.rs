//! The checks that every request must pass before a route sees it: `Host` and `Origin`, the token, the type of its body.
//!
//! In the order of what somebody unknown may learn: a page in a browser learns that it is one, whoever has no token that
//! it needs one, and nobody of these whether a workload exists.
use crate::api::audit::Who;
use crate::api::body::is_json;
use crate::api::problem::{Problem, Refusal};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use wharf_proxy::Peer;

/// By which way requests come, and so what they must show.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// Through the Unix socket, which the kernel opens to its user alone.
    Socket,
    /// Through a port on loopback, which everybody on this machine can open.
    Port {
        /// The names that it is asked by, with the port.
        hosts: Vec<String>,
        /// The digest of the token: how long a comparison takes tells nothing of it.
        token: [u8; 32],
    },
}

impl Way {
    /// Through this address of loopback, with this token.
    pub(crate) fn port(address: SocketAddr, token: &str) -> Self {
        let own = match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let names = ["127.0.0.1", "localhost", "[::1]", &own];
        let mut hosts = names.map(|host| format!("{host}:{}", address.port())).to_vec();
        if address.port() == HTTP_PORT {
            // Clients leave it out.
            hosts.extend(names.map(str::to_owned));
        }
        Self::Port { hosts, token: Sha256::digest(token.as_bytes()).into() }
    }

    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
        match self {
            Self::Socket => {
                // No browser opens a Unix socket; whoever forwards pages to one shows it by this.
                if headers.contains_key(header::ORIGIN) {
                    return Err(foreign_origin());
                }
                // A GET of a page's own origin shows none. Where the socket is forwarded to a port, a page that has made its
                // name lead there (DNS rebinding) is known by that name.
                if headers.contains_key(header::HOST) && !single(headers, header::HOST).is_some_and(is_local)
                {
                    return Err(Refusal::Forbidden.because("the Host is none of this machine's"));
                }
            }
            Self::Port { hosts, token } => {
                let host = single(headers, header::HOST);
                if !host.is_some_and(|host| hosts.iter().any(|known| known.eq_ignore_ascii_case(host))) {
                    return Err(Refusal::Forbidden.because("the Host is none of this server's"));
                }
                let origin =
                    single(headers, header::ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
                if headers.contains_key(header::ORIGIN)
                    && !origin.is_some_and(|origin| hosts.iter().any(|known| known == origin))
                {
                    return Err(foreign_origin());
                }
                if path != LIVE {
                    check_token(headers, token)?;
                }
            }
        }
        check_body(method, headers)
    }
}

/// Whether a name, with a port or without, can be nobody's on the web: an address of loopback, or a name without a dot.
fn is_local(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let ip = rest.split(']').next().and_then(|ip| ip.parse::<Ipv6Addr>().ok());
        return ip.is_some_and(|ip| ip.is_loopback());
    }
    let name = host.split(':').next().unwrap_or_default();
    match name.parse::<Ipv4Addr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => !name.is_empty() && !name.contains('.'),
    }
}

/// The port that a URL need not name.
const HTTP_PORT: u16 = 80;
/// The one route that tells nothing: whether somebody serves.
pub(crate) const LIVE: &str = "/health/live";

fn foreign_origin() -> Problem {
    Refusal::Forbidden.because("no page may ask this server: the Origin is another one's")
}

/// The value of a header that is there once.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn check_token(headers: &HeaderMap, token: &[u8; 32]) -> Result<(), Problem> {
    if !headers.contains_key(header::AUTHORIZATION) {
        return Err(Refusal::Unauthorized.because("the request has no Authorization: Bearer"));
    }
    let given = single(headers, header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let is_known = given.is_some_and(|given| <[u8; 32]>::from(Sha256::digest(given.as_bytes())) == *token);
    if is_known { Ok(()) } else { Err(Refusal::Unauthorized.because("the token is another one")) }
}

/// A request that changes something has no body, or a JSON body: pages may send others without being asked.
fn check_body(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let length = headers.get(header::CONTENT_LENGTH).map(|length| length.as_bytes());
    let has_body =
        length.is_some_and(|length| length != b"0") || headers.contains_key(header::TRANSFER_ENCODING);
    if (has_body || headers.contains_key(header::CONTENT_TYPE)) && !is_json(headers) {
        return Err(Refusal::MediaType.because("the Content-Type of a body is application/json here"));
    }
    Ok(())
}

/// Lets a request pass, with who sent it.
pub(crate) async fn pass(State(way): State<Arc<Way>>, mut request: Request, next: Next) -> Response {
    if let Err(problem) = way.check(request.method(), request.uri().path(), request.headers()) {
        tracing::debug!(status = problem.status, why = %problem.detail, "a request was refused");
        return problem.into_response();
    }
    let who = match (&*way, request.extensions().get::<Peer>()) {
        (Way::Port { .. }, _) => Who::Token,
        (Way::Socket, Some(peer)) => Who::Peer { user: peer.user, pid: peer.pid },
        (Way::Socket, None) => Who::Peer { user: rustix::process::geteuid().as_raw(), pid: None },
    };
    request.extensions_mut().insert(who);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn status(way: &Way, method: &Method, path: &str, given: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        way.check(method, path, &headers).map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn a_request_that_is_not_admitted_gets_the_same_answer_for_every_path() {
        let way = Way::port("127.0.0.1:8080".parse().unwrap(), "secret");
        let get = |given: &[(&'static str, &str)]| status(&way, &Method::GET, "/x", given);
        let (host, token) = (("host", "localhost:8080"), ("authorization", "Bearer secret"));
        assert_eq!(get(&[host, token]), 200);
        assert_eq!(get(&[host, token, ("origin", "http://localhost:8080")]), 200);
        for (wanted, given) in [
            (403, vec![token]),
            (403, vec![("host", "evil.example:8080"), token]),
            (403, vec![("host", "localhost:8081"), token]),
            (403, vec![("host", "localhost"), token]),
            (403, vec![host, host, token]),
            (403, vec![host, token, ("origin", "http://evil.example")]),
            (403, vec![host, token, ("origin", "null")]),
            (403, vec![host, token, ("origin", "http://localhost:3000")]),
            (401, vec![host]),
            (401, vec![host, ("authorization", "Bearer wrong")]),
            (401, vec![host, ("authorization", "Basic secret")]),
            (401, vec![host, ("authorization", "Bearer")]),
            (401, vec![host, token, token]),
        ] {
            assert_eq!(get(&given), wanted, "{given:?}");
        }
        assert_eq!(status(&way, &Method::GET, LIVE, &[host]), 200, "this route tells nothing");
    }

    #[test]
    fn a_server_is_asked_by_the_address_that_it_has() {
        for (address, host, wanted) in [
            ("127.0.0.2:8080", "127.0.0.2:8080", 200),
            ("127.0.0.1:80", "127.0.0.1", 200),
            ("127.0.0.1:80", "localhost:80", 200),
            ("127.0.0.1:80", "evil.example", 403),
            ("[::1]:8080", "[::1]:8080", 200),
            ("127.0.0.1:8080", "127.0.0.1", 403),
        ] {
            let way = Way::port(address.parse().unwrap(), "secret");
            let given = [("host", host), ("authorization", "Bearer secret")];
            assert_eq!(status(&way, &Method::GET, "/x", &given), wanted, "{address} {host}");
        }
    }

    #[test]
    fn a_changing_request_has_a_json_body_or_none() {
        let post = |given: &[(&'static str, &str)]| status(&Way::Socket, &Method::POST, "/x", given);
        assert_eq!(post(&[]), 200);
        assert_eq!(post(&[("content-length", "0")]), 200);
        assert_eq!(post(&[("content-length", "2"), ("content-type", "application/json")]), 200);
        for given in [
            vec![("content-type", "text/plain")],
            vec![("content-length", "2")],
            vec![("transfer-encoding", "chunked")],
            vec![("content-length", "2"), ("content-type", "application/x-www-form-urlencoded")],
            vec![("content-type", "application/json"), ("content-type", "text/plain")],
        ] {
            assert_eq!(post(&given), 415, "{given:?}");
        }
        assert_eq!(post(&[("origin", "http://evil.example")]), 403);
    }

    #[test]
    fn a_socket_that_is_forwarded_to_a_port_is_no_way_for_a_page() {
        let get = |host: &str| status(&Way::Socket, &Method::GET, "/x", &[("host", host)]);
        for local in ["localhost", "x", "localhost:8080", "127.0.0.1:1", "127.8.8.8", "[::1]:80"] {
            assert_eq!(get(local), 200, "{local}");
        }
        for foreign in
            ["evil.example", "rebound.evil.example:8080", "10.0.0.1", "[2001:db8::1]", "", "localhost."]
        {
            assert_eq!(get(foreign), 403, "{foreign}");
        }
    }
}
