//! [`Access`]: the rule who may use the proxy, checked for each request and replaceable while the proxy runs.
//!
//! Everybody on this machine can connect to a port on loopback: other users, and workloads that may use the network. So a
//! request must prove that its sender knows the secret part of the URL, or the token. Only digests are kept and compared:
//! how long a comparison takes tells nothing about the secret, not even its length.
use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::http::refusal::{Refusal, single};

/// The one path that is served, or its end where a secret is part of it.
pub const PATH: &str = "/mcp";

type Sha256Digest = [u8; 32];

/// The rule on whom a proxy serves.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessRule {
    /// Everybody who can connect, at `/mcp`.
    #[default]
    Everybody,
    /// Clients that know the path, `/SECRET/mcp`. Any other path is 404 for everybody.
    Path(PathDigest),
    /// Clients that send `Authorization: Bearer SECRET`, at `/mcp`.
    Bearer(TokenDigest),
}

/// Digest of the one path that is served.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PathDigest(Sha256Digest);

/// Digest of the one token that is accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest(Sha256Digest);

/// The path that is served where a secret is part of it.
pub fn secret_path(secret: &str) -> String {
    format!("/{secret}{}", crate::http::access::PATH)
}

impl AccessRule {
    /// Serves clients that know this part of the path.
    pub fn path(secret: &str) -> Self {
        Self::Path(PathDigest(digest(&secret_path(secret))))
    }

    /// Serves clients that send this token.
    pub fn bearer(token: &str) -> Self {
        Self::Bearer(TokenDigest(digest(token)))
    }

    /// True if a request proves that its sender knows a secret. Then a page of this machine may call the proxy, too, and
    /// (with a token) a client that reached this machine by another name.
    pub(crate) fn needs_secret(&self) -> bool {
        !matches!(self, Self::Everybody)
    }

    /// `docs/mcp.md`, 2.0: a path without the secret does not exist, whatever else is wrong with the request.
    pub(crate) fn admit_path(&self, parts: &Parts) -> Result<(), Refusal> {
        match self {
            Self::Path(known) if !is_same(&digest(parts.uri.path()), &known.0) => Err(Refusal::Path),
            _ => Ok(()),
        }
    }

    /// Called after the checks of `Host` and `Origin`. `is_preflight`: a browser asks without credentials whether it may
    /// send some, and the answer says only that.
    pub(crate) fn admit_sender(&self, parts: &Parts, is_preflight: bool) -> Result<(), Refusal> {
        match self {
            Self::Path(_) => Ok(()),
            Self::Everybody | Self::Bearer(_) if parts.uri.path() != crate::http::access::PATH => {
                Err(Refusal::Path)
            }
            Self::Bearer(known) if !is_preflight => {
                if !parts.headers.contains_key(AUTHORIZATION) {
                    return Err(Refusal::NoToken);
                }
                let token = bearer_token(parts).ok_or(Refusal::WrongToken)?;
                if is_same(&digest(token), &known.0) { Ok(()) } else { Err(Refusal::WrongToken) }
            }
            Self::Everybody | Self::Bearer(_) => Ok(()),
        }
    }
}

/// Not the digests either: they are of no use to a reader.
impl std::fmt::Debug for AccessRule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Everybody => "Everybody",
            Self::Path(_) => "Path(…)",
            Self::Bearer(_) => "Bearer(…)",
        })
    }
}

fn bearer_token(parts: &Parts) -> Option<&str> {
    let (scheme, token) = single(&parts.headers, &AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

fn digest(text: &str) -> Sha256Digest {
    Sha256::digest(text.as_bytes()).into()
}

/// Every byte is looked at, wherever the first difference is.
fn is_same(one: &Sha256Digest, other: &Sha256Digest) -> bool {
    let differing = one.iter().zip(other).fold(0, |differing, (a, b)| differing | (a ^ b));
    std::hint::black_box(differing) == 0
}

/// The rule of one proxy, which can be replaced at any time. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Access {
    rule: Arc<watch::Sender<AccessRule>>,
}

impl Access {
    /// Access by this rule.
    pub fn new(rule: AccessRule) -> Self {
        Self { rule: Arc::new(watch::Sender::new(rule)) }
    }

    /// Replaces the rule. Connections that were opened under another one are cut off, with the streams on them: clients
    /// that know the new secret connect again.
    pub fn replace(&self, rule: AccessRule) {
        self.rule.send_if_modified(|known| {
            let is_new = *known != rule;
            *known = rule;
            is_new
        });
    }

    pub(crate) fn rule(&self) -> AccessRule {
        *self.rule.borrow()
    }

    /// Resolves when the rule that held when this was called is replaced.
    pub(crate) fn replaced(&self) -> impl Future<Output = ()> + use<> {
        let mut changes = self.rule.subscribe();
        async move {
            if changes.changed().await.is_err() {
                // The rule can no longer be replaced.
                std::future::pending::<()>().await;
            }
        }
    }
}
