//! Bodies of requests: JSON alone, of a bounded size, within a bounded time.
//!
//! Called by every route that takes a body. That a body is JSON by its type is what keeps pages out that a browser lets
//! send `text/plain` and forms anywhere without asking (ToolHive's GHSA-xv9h-79wp-q9w6).
use crate::api::problem::{Problem, Refusal};
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::{HeaderMap, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use std::time::Duration;
use wharf_model::{Error, ErrorKind};

/// A larger body is refused.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How long a body may take to come.
const BODY_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether the type of a body says JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(given), None) = (types.next(), types.next()) else { return false };
    let Ok(given) = given.to_str() else { return false };
    let mut parts = given.split(';').map(str::trim);
    let is_charset = |parameter: &str| parameter.replace('"', "").eq_ignore_ascii_case("charset=utf-8");
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| parameter.is_empty() || is_charset(parameter))
}

/// The body of a request, as JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Refusal::MediaType.because("the Content-Type of the body is not application/json"));
        }
        let bytes = read(request.into_body()).await?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::caused(ErrorKind::Usage, "the body makes no sense", &error))?;
        Ok(Self(value))
    }
}

async fn read(body: Body) -> Result<bytes::Bytes, Problem> {
    let collected = Limited::new(body, MAX_BODY_BYTES).collect();
    match tokio::time::timeout(BODY_READ_TIMEOUT, collected).await {
        Err(_) => {
            Err(Refusal::Slow.because(format!("it did not come within {} s", BODY_READ_TIMEOUT.as_secs())))
        }
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Refusal::TooLarge.because(format!("it has more than {MAX_BODY_BYTES} bytes")))
        }
        Ok(Err(_)) => Err(Error::new(ErrorKind::Usage, "the body ended before its end").into()),
    }
}

/// The part of a request behind the question mark.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("the query makes no sense: {}", error.body_text()))
        })?;
        Ok(Self(query.0))
    }
}

/// The one part of a path that is a name.
pub(crate) struct Part(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Part {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await.map_err(|error| {
            Error::new(ErrorKind::Usage, format!("the path makes no sense: {}", error.body_text()))
        })?;
        Ok(Self(path.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_json_body_needs_a_content_type_that_a_page_cannot_send_unasked() {
        let says = |given: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(given).unwrap());
            is_json(&headers)
        };
        for json in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json; charset=\"utf-8\"",
            "application/json;",
        ] {
            assert!(says(json), "{json}");
        }
        for other in [
            "text/plain",
            "text/plain; application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json+x",
            "application/json; charset=latin1",
            "",
        ] {
            assert!(!says(other), "{other}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
