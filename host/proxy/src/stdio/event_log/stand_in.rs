//! The errors that stand for answers which a stream does not keep. Called by the stream and where memory is freed.
use crate::protocol::message::{Id, code, error_text};
use crate::protocol::own_error::{ANSWER_DROPPED, ANSWER_NOT_KEPT};

/// An error that takes an answer's place, and answers as small as that, are kept under pressure.
pub(super) const SMALL_ANSWER: usize = 1024;

/// The error that a client gets in the place of an answer for which there is no memory.
pub(crate) fn no_memory(id: &Id) -> Vec<u8> {
    error_text(Some(id.as_json()), code::INTERNAL, ANSWER_DROPPED)
}

/// The error that a client gets that asks once more for a large answer, which is kept for one reader.
pub(super) fn not_kept(id: &Id) -> Vec<u8> {
    error_text(Some(id.as_json()), code::INTERNAL, ANSWER_NOT_KEPT)
}
