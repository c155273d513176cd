//! The JSON documents of calls to a runtime: written with the deadline that the plugin keeps, and read with a bound, since
//! a plugin may answer anything.
use crate::error::CallError;
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use wharf_sdk::document;
use wharf_sdk::{Error, ErrorCode};

/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

pub(crate) fn write<B: Serialize>(
    operation: &'static str,
    body: B,
    deadline: Option<Duration>,
) -> Result<String, CallError> {
    document::write(body, deadline.map(millis)).map_err(|error| {
        let message = format!("the document for '{operation}' cannot be written: {error}");
        CallError::Answered(Error::new(ErrorCode::InvalidArgument, message))
    })
}

pub(crate) fn read<A: DeserializeOwned>(operation: &'static str, text: &str) -> Result<A, CallError> {
    let malformed = |why: String| CallError::Malformed { operation, why };
    if text.len() > MAX_ANSWER_BYTES {
        return Err(malformed(format!(
            "it has {} bytes, and at most {MAX_ANSWER_BYTES} are read",
            text.len()
        )));
    }
    document::read(text).map(|envelope| envelope.body).map_err(|error| {
        match std::error::Error::source(&error) {
            Some(source) => malformed(format!("{error}: {source}")),
            None => malformed(error.to_string()),
        }
    })
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
