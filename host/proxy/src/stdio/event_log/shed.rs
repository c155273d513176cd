//! What a stream gives up under pressure on memory, and the errors that stand for answers. A part of [`Stream`].
use crate::http::budget::Account;
use crate::protocol::message::{Id, code, error_text};
use crate::stdio::event_log::{Event, Stream};

/// The number of messages that a stream gave up to make room.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shed {
    pub(crate) answers: u64,
    pub(crate) others: u64,
}

/// An error that takes an answer's place, and answers as small as that, are kept under pressure.
pub(super) const SMALL_ANSWER: usize = 1024;

impl Stream {
    /// Drops the stream's events to make room. An answer becomes an error, also one that was taken: it may not have been
    /// written yet, and its connection is ended then.
    pub(crate) fn shed(&mut self, account: Account) -> Shed {
        self.account = account;
        let mut shed = Shed::default();
        for event in std::mem::take(&mut self.ring) {
            let Event { sequence, frame, answers } = event;
            let is_unread = sequence >= self.read_up_to;
            let Some(id) = answers else {
                shed.others += u64::from(sequence > 0 && is_unread);
                continue;
            };
            let frame = if frame.len() <= SMALL_ANSWER {
                self.account.hold(frame.to_vec())
            } else {
                shed.answers += u64::from(is_unread);
                self.frame(sequence, &no_memory(&id))
            };
            self.ring.push_back(Event { sequence, frame, answers: Some(id) });
        }
        // They are counted here.
        self.missed_to = self.next_sequence;
        self.bytes = self.ring.iter().map(|event| event.frame.len()).sum();
        self.count_unread();
        shed
    }
}

/// The error that a client gets in the place of an answer for which there is no memory.
pub(crate) fn no_memory(id: &Id) -> Vec<u8> {
    let text = "the answer was dropped: the proxy's memory is full, and this session holds most of it";
    error_text(Some(id.as_json()), code::INTERNAL, text)
}

/// The error that a client gets that asks once more for a large answer, which is kept for one reader.
pub(super) fn not_kept(id: &Id) -> Vec<u8> {
    let text = "the connection broke while a large answer was on its way, which is not kept for another one";
    error_text(Some(id.as_json()), code::INTERNAL, text)
}
