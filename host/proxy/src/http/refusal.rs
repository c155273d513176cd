//! [`Refusal`]: the reason why a request is not served; and the reading of headers that both judges share.
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// A request that the gate refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing is served there (404).
    Path,
    /// `Host` is missing or given twice (400).
    NoHost,
    /// A transfer coding besides `chunked` (501).
    Coding,
    /// `Host` is not ours: DNS rebinding (403).
    Host,
    /// `Origin` is `null`, given twice, or not ours: a page of somebody else (403).
    Origin,
    /// A token is needed (401).
    NoToken,
    /// The token is wrong (401).
    WrongToken,
}

/// A header that must not be given twice.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}
