//! The principal of a session.
use crate::stdio::session::Principal;

/// The principal of a session that this request would open: the digest of `Authorization`, or the local user.
pub(crate) fn principal(headers: &axum::http::HeaderMap) -> Principal {
    use sha2::Digest;
    headers.get(axum::http::header::AUTHORIZATION).map(|value| sha2::Sha256::digest(value.as_bytes()).into())
}
