//! Tells what has gone wrong between this client and a server: which of the server, the proxy and the connection it was,
//! and whether the request may have been done. The words of `rmcp` name its types, and may hold the URL.
use crate::server_client::http::{Failure, HttpError};
use crate::server_client::lost_answer::LOST;
use http_body_util::LengthLimitError;
use rmcp::model::{ErrorCode, ErrorData};
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;
use wharf_model::{Advice, Error, ErrorKind, chain};
use wharf_proxy::{OUTCOME_UNKNOWN, OwnError};

/// The request that opens a session.
const OPENING: &str = "initialize";
/// The only request of this client that changes anything.
pub(super) const CALL: &str = "tools/call";
const BROKEN: &str = "the connection broke off";
/// The error that `rmcp` puts in the place of an answer when it has to open a session anew.
const REOPENED: &str = "streamable HTTP session was re-initialized before the response arrived";

/// The failure of an opening.
pub(super) fn not_opened(name: &str, error: &ClientInitializeError) -> Error {
    match error {
        // The newer era is asked for first, which the proxy never serves: the answer in the older one is what counts.
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => not_opened(name, fallback),
        ClientInitializeError::JsonRpcError(error) => answered(name, OPENING, error),
        ClientInitializeError::TransportError { error, .. } => not_sent(name, OPENING, error),
        ClientInitializeError::ConnectionClosed(_) => unanswered(name, OPENING, BROKEN),
        ClientInitializeError::ExpectedInitResponse(_)
        | ClientInitializeError::ExpectedInitResult(_)
        | ClientInitializeError::ConflictInitResponseId(..)
        | ClientInitializeError::UncorrelatedErrorResponse { .. } => misshapen(OPENING),
        other => unknown(other),
    }
}

/// The failure of a request in a session.
pub(super) fn failed(name: &str, method: &str, error: &ServiceError) -> Error {
    match error {
        ServiceError::McpError(error) => answered(name, method, error),
        ServiceError::TransportSend(error) => not_sent(name, method, error),
        ServiceError::TransportClosed => unanswered(name, method, BROKEN),
        ServiceError::UnexpectedResponse => misshapen(method),
        other => unknown(other),
    }
}

/// An answer that is an error: of the proxy's own, or of the server's.
fn answered(name: &str, method: &str, error: &ErrorData) -> Error {
    if error.code == ErrorCode::INTERNAL_ERROR && (error.message == REOPENED || error.message == LOST) {
        return unanswered(name, method, BROKEN);
    }
    let told = &error.message;
    match OwnError::of(error.code.0, told) {
        Some(OwnError::Away) => {
            let message = format!("{told} just now; nothing was done");
            Error::new(ErrorKind::Conflict, message).advise(status(name))
        }
        Some(OwnError::NotPassedOn) => {
            Error::new(ErrorKind::Runtime, format!("{told}; nothing was done")).advise(status(name))
        }
        Some(OwnError::Unanswered) => unanswered(name, method, told),
        None => {
            let kind = match error.code {
                _ if method == OPENING => ErrorKind::Runtime,
                ErrorCode::INVALID_PARAMS | ErrorCode::METHOD_NOT_FOUND => ErrorKind::Usage,
                _ => ErrorKind::Failed,
            };
            Error::new(kind, format!("the server refused: {told} ({})", error.code.0))
        }
    }
}

/// A request that could not be sent, or whose answer could not be read: `rmcp` makes no difference.
fn not_sent(name: &str, method: &str, error: &DynamicTransportError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.error.as_ref());
    while let Some(current) = cause {
        if let Some(failure) = current.downcast_ref::<Failure>() {
            return over_http(name, method, failure);
        }
        cause = current.source();
    }
    unanswered(name, method, BROKEN)
}

fn over_http(name: &str, method: &str, failure: &Failure) -> Error {
    match failure {
        StreamableHttpError::Client(error) => over_connection(name, method, error),
        StreamableHttpError::ReinitializationFailed(error) => answered(name, OPENING, error),
        StreamableHttpError::Deserialize(_) => misshapen(method),
        StreamableHttpError::UnexpectedServerResponse(text) => {
            Error::new(ErrorKind::Runtime, without_url(text))
        }
        StreamableHttpError::Sse(_)
        | StreamableHttpError::Io(_)
        | StreamableHttpError::UnexpectedEndOfStream
        | StreamableHttpError::TransportChannelClosed
        | StreamableHttpError::SessionRecoveryTimeout => unanswered(name, method, BROKEN),
        other => unknown(other),
    }
}

fn over_connection(name: &str, method: &str, error: &HttpError) -> Error {
    match error {
        HttpError::Json(_) => misshapen(method),
        HttpError::Body(cause) if !cause.is::<LengthLimitError>() => unanswered(name, method, BROKEN),
        HttpError::Exchange(_) => unanswered(name, method, BROKEN),
        HttpError::Connection(_) => unknown(error).advise(status(name)),
        HttpError::Url(_) | HttpError::Body(_) | HttpError::Event => unknown(error),
    }
}

/// A request that the server may have got, and that has no answer. A list can be asked for again, a call cannot.
fn unanswered(name: &str, method: &str, sentence: &str) -> Error {
    let sentence = sentence.strip_suffix(OUTCOME_UNKNOWN).unwrap_or(sentence).trim_end_matches("; ");
    let error = if method == CALL {
        Error::new(ErrorKind::Deadline, format!("{sentence}; {OUTCOME_UNKNOWN}"))
    } else {
        Error::new(ErrorKind::Runtime, sentence)
    };
    error.advise(status(name))
}

/// An answer that makes no sense.
fn misshapen(method: &str) -> Error {
    let or_else = if method == CALL { ", or asks for something that cannot be answered here" } else { "" };
    let message = format!("the server's answer to {method} is not as the protocol has it{or_else}");
    Error::new(ErrorKind::Runtime, message)
}

fn unknown(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::new(ErrorKind::Runtime, without_url(&chain(error)))
}

fn status(name: &str) -> Advice {
    Advice::ShowStatus { name: name.to_owned() }
}

/// A URL holds a secret, and errors are shown.
fn without_url(text: &str) -> String {
    let shown = |word: &str| if word.contains("://") { "…".to_owned() } else { word.to_owned() };
    text.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn internal(text: &'static str) -> ServiceError {
        ServiceError::McpError(ErrorData::internal_error(text, None))
    }

    fn told(method: &str, error: &ServiceError) -> (ErrorKind, String, bool) {
        let error = failed("demo", method, error);
        (error.kind, error.message, error.advice == [status("demo")])
    }

    #[test]
    fn an_error_holds_no_url() {
        assert_eq!(without_url("error at http://127.0.0.1:1/secret/mcp now"), "error at … now");
    }

    #[test]
    fn a_server_that_is_away_is_told_as_that_whichever_era_was_tried() {
        let refused = |text: &'static str| {
            Box::new(ClientInitializeError::JsonRpcError(ErrorData::internal_error(text, None)))
        };
        let error = ClientInitializeError::LegacyFallbackFailed {
            discover: refused("no such revision"),
            fallback: refused("the server is not running"),
        };
        let error = not_opened("demo", &error);
        assert_eq!((error.kind, error.advice.as_slice()), (ErrorKind::Conflict, &[status("demo")][..]));
        assert!(error.message.starts_with("the server is not running just now"), "{error}");
    }

    #[test]
    fn a_call_without_an_answer_may_have_been_done_and_a_list_can_be_asked_for_again() {
        let unknown = "the server has ended; what was asked may or may not have been done";
        for (text, list) in [
            (unknown, "the server has ended"),
            ("the server is being stopped", "the server is being stopped"),
        ] {
            let call = format!("{list}; {OUTCOME_UNKNOWN}");
            assert_eq!(told(CALL, &internal(text)), (ErrorKind::Deadline, call, true));
            assert_eq!(told("tools/list", &internal(text)), (ErrorKind::Runtime, list.to_owned(), true));
        }
        let broken = format!("{BROKEN}; {OUTCOME_UNKNOWN}");
        assert_eq!(told(CALL, &ServiceError::TransportClosed), (ErrorKind::Deadline, broken.clone(), true));
        assert_eq!(told(CALL, &internal(REOPENED)), (ErrorKind::Deadline, broken, true));
    }

    #[test]
    fn a_failed_transport_is_told_without_the_names_of_types() {
        let over = |failure: Failure| {
            let id = std::any::TypeId::of::<()>();
            ServiceError::TransportSend(DynamicTransportError::from_parts(
                "rmcp::Some<T>",
                id,
                Box::new(failure),
            ))
        };
        let broken = format!("{BROKEN}; {OUTCOME_UNKNOWN}");
        let closed = over(StreamableHttpError::TransportChannelClosed);
        assert_eq!(told(CALL, &closed), (ErrorKind::Deadline, broken, true));
        let nobody = HttpError::Connection(std::io::ErrorKind::ConnectionRefused.into());
        let (kind, message, has_status) = told(CALL, &over(StreamableHttpError::Client(nobody)));
        // It was not sent, so nothing was done.
        assert_eq!((kind, has_status), (ErrorKind::Runtime, true));
        assert!(message.starts_with("the proxy cannot be reached: "), "{message}");
    }

    #[test]
    fn the_servers_own_errors_are_its_refusals_and_a_wrong_answer_is_none() {
        let missing = ServiceError::McpError(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "no", None));
        assert_eq!(
            told("tools/list", &missing),
            (ErrorKind::Usage, "the server refused: no (-32601)".to_owned(), false)
        );
        assert_eq!(told(CALL, &internal("no disk")).0, ErrorKind::Failed);
        let (kind, message, _) = told("prompts/list", &ServiceError::UnexpectedResponse);
        assert_eq!(kind, ErrorKind::Runtime);
        assert_eq!(message, "the server's answer to prompts/list is not as the protocol has it");
    }
}
