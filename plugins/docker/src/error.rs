//! Turns the errors of an engine into errors of the SDK.
use crate::{flavor::Flavor, hints};
use bollard::errors::Error as Engine;
use std::{io, path::Path};
use wharf_sdk::{Error, ErrorCode, Health, error_chain};

/// A part of both engines' errors for a container that they do not have, in lower case.
const NO_CONTAINER: &str = "no such container";

/// The error of an operation on a container. `not_found` must come from the engine itself: any program that serves the
/// socket may answer 404, and a broken connection says nothing.
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
        | Engine::SocketNotFoundError(_) => (ErrorCode::Unavailable, error_chain(error)),
        other => (ErrorCode::Internal, error_chain(other)),
    };
    Error::new(code, format!("{doing}: {why}"))
}

fn of_status(status: u16, message: &str) -> ErrorCode {
    match status {
        400 => ErrorCode::InvalidArgument,
        401 | 403 => ErrorCode::PermissionDenied,
        404 if message.to_ascii_lowercase().contains(NO_CONTAINER) => ErrorCode::NotFound,
        // The engine failed, or does not know the request: whether it has done anything is unknown.
        404 | 500 => ErrorCode::Internal,
        status if is_of_proxy(status) => ErrorCode::Unavailable,
        _ => ErrorCode::FailedPrecondition,
    }
}

/// True for the status codes with which a proxy answers in the place of an engine that is gone.
pub(crate) const fn is_of_proxy(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// True if the answer says that an image, or another thing that the request names, is missing.
pub(crate) const fn is_missing(error: &Engine) -> bool {
    matches!(error, Engine::DockerResponseServerError { status_code: 404, .. })
}

/// The error for an engine that cannot be asked, with the remedy. The code is always `unavailable`: no evidence of
/// anything.
pub(crate) fn unreachable(flavor: Flavor, socket: &Path, error: &io::Error) -> Error {
    let Health { message, remedy, .. } = trouble(flavor, socket, error);
    let title = flavor.title();
    in_one(&format!("{title} cannot be reached: {message}"), &remedy)
}

/// Puts a fault and its remedy into one error, since an error has no field for the remedy.
pub(crate) fn in_one(message: &str, remedy: &str) -> Error {
    let separator = if remedy.is_empty() { "" } else { "; " };
    Error::unavailable(format!("{message}{separator}{remedy}"))
}

/// The fault of a socket that cannot be used, with the remedy.
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
