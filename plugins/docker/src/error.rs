//! From what an engine says to the errors of the interface.
use crate::{flavor::Flavor, hints};
use bollard::errors::Error as Engine;
use std::{io, path::Path};
use wharf_sdk::{Error, ErrorCode, Health};

/// What both engines say of a container that they do not have, in one case or the other.
const NO_CONTAINER: &str = "no such container";

/// An operation on a container that failed. That it is gone must be the engine's own word: a 404 can be of anything
/// that serves the socket, and a connection that failed is no word at all.
pub(crate) fn operation(doing: &str, error: &Engine) -> Error {
    let (code, why) = match error {
        Engine::DockerResponseServerError { status_code, message } => {
            (of_status(*status_code, message), message.clone())
        }
        Engine::RequestTimeoutError => (ErrorCode::Timeout, "the engine did not answer in time".to_owned()),
        Engine::DockerStreamError { error } => (ErrorCode::FailedPrecondition, error.clone()),
        Engine::IOError { .. }
        | Engine::HyperResponseError { .. }
        | Engine::HyperLegacyError { .. }
        | Engine::SocketNotFoundError(_) => (ErrorCode::Unavailable, chain(error)),
        other => (ErrorCode::Internal, chain(other)),
    };
    Error::new(code, format!("{doing}: {why}"))
}

fn of_status(status: u16, message: &str) -> ErrorCode {
    match status {
        400 => ErrorCode::InvalidArgument,
        401 | 403 => ErrorCode::PermissionDenied,
        404 if message.to_ascii_lowercase().contains(NO_CONTAINER) => ErrorCode::NotFound,
        // The engine itself failed, or does not know the question: what it did is not known.
        404 | 500 => ErrorCode::Internal,
        status if is_of_proxy(status) => ErrorCode::Unavailable,
        _ => ErrorCode::FailedPrecondition,
    }
}

/// True of the answer of a proxy in the place of an engine that is gone.
pub(crate) const fn is_of_proxy(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// True if the answer is that something is missing, be it an image or what else a request names.
pub(crate) const fn is_missing(error: &Engine) -> bool {
    matches!(error, Engine::DockerResponseServerError { status_code: 404, .. })
}

/// An engine that cannot be asked, with the remedy. It is always `unavailable`: no evidence of anything.
pub(crate) fn unreachable(flavor: Flavor, socket: &Path, error: &io::Error) -> Error {
    let Health { message, remedy, .. } = trouble(flavor, socket, error);
    let title = flavor.title();
    in_one(&format!("{title} cannot be reached: {message}"), &remedy)
}

/// An engine that cannot be asked, as an error, which has no field for the remedy.
pub(crate) fn in_one(message: &str, remedy: &str) -> Error {
    let separator = if remedy.is_empty() { "" } else { "; " };
    Error::unavailable(format!("{message}{separator}{remedy}"))
}

/// The fault of a socket that cannot be used, with its remedy.
pub(crate) fn trouble(flavor: Flavor, socket: &Path, error: &io::Error) -> Health {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => hints::start(flavor, socket),
        io::ErrorKind::PermissionDenied => hints::share(flavor, socket),
        io::ErrorKind::TimedOut => "restart the engine".to_owned(),
        _ => String::new(),
    };
    Health::unhealthy(wrong(socket, error)).with_remedy(remedy)
}

/// The fault of a socket, in words.
pub(crate) fn wrong(socket: &Path, error: &io::Error) -> String {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no socket {socket}"),
        io::ErrorKind::PermissionDenied => format!("this user may not use {socket}"),
        io::ErrorKind::ConnectionRefused => format!("nothing listens on {socket}"),
        io::ErrorKind::TimedOut => format!("{socket} is silent: whatever listens there does not answer"),
        io::ErrorKind::InvalidData => format!("what answers on {socket} is no engine: {error}"),
        _ => format!("{socket}: {error}"),
    }
}

/// The error with its causes, without those that an error before them has said already.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_container_is_gone_is_the_engines_own_word() {
        let code = |status_code, message: &str| {
            let error = Engine::DockerResponseServerError { status_code, message: message.to_owned() };
            operation("it failed", &error).code
        };
        assert_eq!(code(404, "No such container: 0af3"), ErrorCode::NotFound);
        let podman = "no container with name or ID \"0af3\" found: no such container";
        assert_eq!(code(404, podman), ErrorCode::NotFound);
        assert_eq!(code(404, "page not found"), ErrorCode::Internal);
        assert_eq!(code(409, "container 0af3 is not running"), ErrorCode::FailedPrecondition);
        assert_eq!(code(500, "no such container"), ErrorCode::Internal);
        for status in 502..=504 {
            assert_eq!(code(status, "bad gateway"), ErrorCode::Unavailable);
        }
    }
}
