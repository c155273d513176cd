//! Whose a session is.
use crate::stdio::session::Principal;

/// Whose session it would be: the digest of `Authorization`, or the local user.
pub(crate) fn principal(headers: &axum::http::HeaderMap) -> Principal {
    use sha2::Digest;
    headers.get(axum::http::header::AUTHORIZATION).map(|value| sha2::Sha256::digest(value.as_bytes()).into())
}
