//! Reads an engine's answer to a question that was asked without bollard.
use bollard::errors::Error;
use bytes::Bytes;
use hyper::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};

/// The body of an engine's error.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// The answer, or the engine's error.
pub(crate) fn read<T: DeserializeOwned>((status, answer): (StatusCode, Bytes)) -> Result<T, Error> {
    if status.is_success() {
        return Ok(serde_json::from_slice(&answer)?);
    }
    let message = serde_json::from_slice(&answer)
        .map_or_else(|_| String::from_utf8_lossy(&answer).into_owned(), |refusal: Refusal| refusal.message);
    Err(Error::DockerResponseServerError { status_code: status.as_u16(), message })
}
