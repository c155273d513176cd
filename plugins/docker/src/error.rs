//! Turns the errors of an engine into errors of the SDK.
use crate::{flavor::Flavor, hints};
use bollard::errors::Error as Engine;
use std::{io, path::Path};
use wharf_sdk::{Error, ErrorCode, Health, error_chain};

/// A part of both engines' errors for a container that they do not have, in lower case.
const NO_CONTAINER: &str = "no such container";
/// The words of a Podman that finds a container no longer in its records in the middle of an answer.
const GONE_FROM_PODMAN: &str = "does not exist in database: no such container";

/// A part of the errors of both engines when a disk is full, in lower case.
const DISK_FULL: &str = "no space left on device";

/// The remedy for an engine that is silent.
const SILENT: &str = "it may be busy: try again, and restart the engine if it stays like this";

/// The error of an operation on a container. `not_found` must come from the engine itself: any program that serves the
/// socket may answer 404, and a broken connection says nothing.
pub(crate) fn operation(flavor: Flavor, doing: &str, error: &Engine) -> Error {
    let title = flavor.title();
    let (code, why) = match error {
        Engine::DockerResponseServerError { status_code, message } if is_of_proxy(*status_code) => {
            (of_status(*status_code, message), format!("{title} is not there just now: {message}"))
        }
        Engine::DockerResponseServerError { status_code, message } => {
            (of_status(*status_code, message), full_or(flavor, message))
        }
        silent if is_silent(silent) => (ErrorCode::Unavailable, format!("{title} is silent; {SILENT}")),
        Engine::RequestTimeoutError => (ErrorCode::Timeout, format!("{title} did not answer in time")),
        Engine::DockerStreamError { error } => (ErrorCode::FailedPrecondition, full_or(flavor, error)),
        Engine::IOError { .. }
        | Engine::HyperResponseError { .. }
        | Engine::HyperLegacyError { .. }
        | Engine::SocketNotFoundError(_) => {
            (ErrorCode::Unavailable, format!("{title} went away ({})", error_chain(error)))
        }
        other => (ErrorCode::Internal, error_chain(other)),
    };
    Error::new(code, format!("{doing}: {why}"))
}

/// The words of an engine; with the remedy if its disk is full.
fn full_or(flavor: Flavor, message: &str) -> String {
    if !message.to_ascii_lowercase().contains(DISK_FULL) {
        return message.to_owned();
    }
    let program = flavor.runtime();
    format!("{message}; the disk of {} is full: make room on it, see {program} system df", flavor.title())
}

fn of_status(status: u16, message: &str) -> ErrorCode {
    match status {
        400 => ErrorCode::InvalidArgument,
        401 | 403 => ErrorCode::PermissionDenied,
        404 if message.to_ascii_lowercase().contains(NO_CONTAINER) => ErrorCode::NotFound,
        // Somebody else removed it between two steps of the answer.
        500 if message.contains(GONE_FROM_PODMAN) => ErrorCode::NotFound,
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

/// True if the engine gave no sign of life.
pub(crate) fn is_silent(error: &Engine) -> bool {
    matches!(error, Engine::IOError { err } if err.kind() == io::ErrorKind::TimedOut)
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
        io::ErrorKind::TimedOut => SILENT.to_owned(),
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
        io::ErrorKind::TimedOut => {
            format!("{socket} is silent: whatever listens there gave no answer in time")
        }
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
            operation(Flavor::Docker, "it failed", &error).code
        };
        assert_eq!(code(404, "No such container: 0af3"), ErrorCode::NotFound);
        let podman = "no container with name or ID \"0af3\" found: no such container";
        assert_eq!(code(404, podman), ErrorCode::NotFound);
        assert_eq!(code(404, "page not found"), ErrorCode::Internal);
        assert_eq!(code(409, "container 0af3 is not running"), ErrorCode::FailedPrecondition);
        assert_eq!(code(500, "no such container"), ErrorCode::Internal);
        let meanwhile = "container 0af3 does not exist in database: no such container";
        assert_eq!(code(500, meanwhile), ErrorCode::NotFound);
        for status in 502..=504 {
            assert_eq!(code(status, "bad gateway"), ErrorCode::Unavailable);
        }
    }

    #[test]
    fn a_full_disk_and_an_engine_that_goes_away_or_is_silent_are_named() {
        let message = "write /data/x: no space left on device".to_owned();
        let full = Engine::DockerResponseServerError { status_code: 500, message };
        let told = operation(Flavor::Podman, "it cannot be started", &full).message;
        assert!(told.contains("the disk of Podman is full") && told.ends_with("podman system df"), "{told}");
        let gone = Engine::IOError { err: io::Error::from(io::ErrorKind::ConnectionReset) };
        let told = operation(Flavor::Docker, "it cannot be made", &gone);
        assert_eq!(told.code, ErrorCode::Unavailable);
        assert!(told.message.contains("Docker went away"), "{told}");
        let silent = Engine::IOError { err: io::Error::from(io::ErrorKind::TimedOut) };
        let told = operation(Flavor::Docker, "it cannot be made", &silent);
        assert_eq!(told.code, ErrorCode::Unavailable);
        assert!(told.message.contains("Docker is silent; it may be busy"), "{told}");
    }
}
