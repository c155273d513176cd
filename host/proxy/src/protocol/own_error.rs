//! [`OwnError`]: the errors that are the proxy's own and not the server's. On the wire both look alike, so they are told
//! apart by their words, which are here. That proves nothing: a server may say the same words, of its own calls.
use crate::protocol::message::code;
use crate::protocol::options::Busy;

/// The last part of the errors of requests that the server may have got.
pub const OUTCOME_UNKNOWN: &str = "what was asked may or may not have been done";
/// The error of the requests in flight when the server is stopped.
pub const SERVER_STOPPED: &str = "the server is being stopped";
/// The error of the requests in flight when the server has ended and is restarted.
pub const SERVER_RESTARTED: &str = "the server ended; it is being restarted";

/// The error of the requests in flight when the server's output has ended, or the proxy gives the server up.
pub(crate) const OUTPUT_ENDED: &str = "the server has ended; what was asked may or may not have been done";
/// The error of a request in the middle of which an HTTP server ended, or closed the connection.
pub(crate) const SERVER_ENDED: &str =
    "the server ended before it answered; what was asked may or may not have been done";
/// The error of a request whose body had to make room while the server had not answered.
pub(crate) const GIVEN_UP_FOR_ROOM: &str =
    "no memory is left for the body; what was asked may or may not have been done";
/// The error of a request that was dropped without an answer, for none of the reasons that have an error of their own here:
/// nobody is left to answer it.
pub(crate) const SERVER_GONE: &str = "the server has ended";
/// The error of the requests in flight when another server takes the place of theirs.
pub(crate) const SERVER_REPLACED: &str = "the server was replaced";
/// The error of the requests in flight when the proxy ends.
pub(crate) const SHUTTING_DOWN: &str = "the proxy is shutting down";
/// The error of the requests in flight when their session ends.
pub(crate) const SESSION_ENDED: &str = "the session has ended";
/// The error of a request that took too long.
pub(crate) const NOT_IN_TIME: &str = "the server did not answer in time";
/// The error in the place of an answer for which there is no memory.
pub(crate) const ANSWER_DROPPED: &str =
    "the answer was dropped: the proxy's memory is full, and this session holds most of it";
/// The error for a client that asks a second time for a large answer, which only its first reader gets.
pub(crate) const ANSWER_NOT_KEPT: &str =
    "the connection broke while a large answer was being sent, and it is not kept for a second one";
/// The error of a request that was not sent, since the server does not read its input.
pub(crate) const LINE_GIVEN_UP: &str =
    "the server was not asked: the proxy's memory is full, and most of it waits for this server to read";
/// The error of a request to an HTTP server that does not listen.
pub(crate) const UNREACHABLE: &str = "the server cannot be reached";

/// The beginning of the error of a request whose answer makes no sense.
pub(crate) const ANSWER_UNUSABLE: &str = "the server's answer cannot be used: ";
/// The error of a request that an HTTP server answers with a change to another protocol, or another answer below 200.
pub(crate) const OTHER_PROTOCOL: &str = "the server tried to switch protocols, which was not asked for";
/// The error of a request that an HTTP server answers with a redirect.
pub(crate) const REDIRECTED: &str = "the server answered with a redirect, which is not followed";

/// The errors of requests that the server may have got.
const UNANSWERED: [&str; 14] = [
    SERVER_STOPPED,
    SERVER_RESTARTED,
    OUTPUT_ENDED,
    SERVER_ENDED,
    GIVEN_UP_FOR_ROOM,
    SERVER_GONE,
    SERVER_REPLACED,
    SHUTTING_DOWN,
    SESSION_ENDED,
    NOT_IN_TIME,
    ANSWER_DROPPED,
    ANSWER_NOT_KEPT,
    OTHER_PROTOCOL,
    REDIRECTED,
];

/// The meaning of an error of the proxy's own for the request that got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnError {
    /// No server is there to ask. Nothing was done.
    Away,
    /// The proxy does not pass it on now. Nothing was done.
    NotPassedOn,
    /// The server may have got it, and no answer will come. What was asked may or may not have been done.
    Unanswered,
}

impl OwnError {
    /// The meaning of an error with this number and this text. None: it is the server's.
    pub fn of(number: i32, text: &str) -> Option<Self> {
        if number != code::INTERNAL {
            return None;
        }
        if text == Busy::NotRunning.to_string() || text == UNREACHABLE {
            return Some(Self::Away);
        }
        if text == LINE_GIVEN_UP || Busy::ALL.iter().any(|busy| busy.to_string() == text) {
            return Some(Self::NotPassedOn);
        }
        (UNANSWERED.contains(&text) || text.starts_with(ANSWER_UNUSABLE)).then_some(Self::Unanswered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_proxys_own_is_known_by_its_words_and_its_number() {
        assert_eq!(OwnError::of(code::INTERNAL, "the server is not running"), Some(OwnError::Away));
        assert_eq!(OwnError::of(code::INTERNAL, "too many sessions"), Some(OwnError::NotPassedOn));
        for text in UNANSWERED {
            assert_eq!(OwnError::of(code::INTERNAL, text), Some(OwnError::Unanswered), "{text}");
        }
        let unusable = format!("{ANSWER_UNUSABLE}it is no object");
        assert_eq!(OwnError::of(code::INTERNAL, &unusable), Some(OwnError::Unanswered));
        assert_eq!(OwnError::of(code::INTERNAL, "my database is not running"), None);
        assert_eq!(OwnError::of(code::INVALID_PARAMS, "the server is not running"), None);
    }

    #[test]
    fn an_error_says_in_the_same_words_that_the_outcome_is_unknown() {
        for text in [OUTPUT_ENDED, SERVER_ENDED, GIVEN_UP_FOR_ROOM] {
            assert!(text.ends_with(&format!("; {OUTCOME_UNKNOWN}")), "{text}");
        }
    }
}
