//! The errors that stand in the place of answers that are not kept. Called by the stream (`event_log`, and `event_log/shed` when it
//! makes room), and by `stdio/memory` for an answer that a client's session has no memory for.
use crate::protocol::message::{Id, code, error_text};
use crate::protocol::own_error::{ANSWER_DROPPED, ANSWER_NOT_KEPT};

/// An error that takes an answer's place, and answers of no more bytes than it can have, are kept under pressure.
pub(super) const SMALL_ANSWER_BYTES: usize = 1024;

/// The error that a client gets in the place of an answer for which there is no memory.
pub(crate) fn no_memory(id: &Id) -> Vec<u8> {
    error_text(Some(id.as_json()), code::INTERNAL, ANSWER_DROPPED)
}

/// The error for a client that asks a second time for a large answer, which only its first reader gets.
pub(super) fn not_kept(id: &Id) -> Vec<u8> {
    error_text(Some(id.as_json()), code::INTERNAL, ANSWER_NOT_KEPT)
}
