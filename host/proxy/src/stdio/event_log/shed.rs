//! What a stream gives up under pressure on memory, and the errors that stand for answers. A part of [`Stream`].
use crate::http::budget::Account;
use crate::stdio::event_log::stand_in::{SMALL_ANSWER_BYTES, no_memory};
use crate::stdio::event_log::{Event, Stream};

/// The number of messages that a stream gave up to make room.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shed {
    pub(crate) answers: u64,
    pub(crate) others: u64,
}

impl Stream {
    /// Drops the stream's events to make room. An answer becomes an error, also one that was taken: it may not have been
    /// written yet, and its connection is ended then.
    pub(crate) fn shed(&mut self, account: Account) -> Shed {
        self.account = account;
        let mut shed = Shed::default();
        for event in std::mem::take(&mut self.ring) {
            let is_lost = self.is_unread_answer(&event);
            let Event { sequence, frame, answers, stands_in } = event;
            let is_unread = sequence >= self.read_up_to;
            let Some(id) = answers else {
                shed.others += u64::from(sequence > 0 && is_unread);
                continue;
            };
            let is_kept = frame.len() <= SMALL_ANSWER_BYTES;
            let frame = if is_kept {
                self.account.hold(frame.to_vec())
            } else {
                shed.answers += u64::from(is_lost);
                self.frame(sequence, &no_memory(&id))
            };
            let stands_in = stands_in || !is_kept;
            self.ring.push_back(Event { sequence, frame, answers: Some(id), stands_in });
        }
        // They are counted here.
        self.missed_to = self.next_sequence;
        self.bytes = self.ring.iter().map(|event| event.frame.len()).sum();
        self.count_unread();
        shed
    }

    /// True if nothing more comes, and no reader is there or on the way: one that has it all already, or that might come back.
    pub(crate) fn may_go_whole(&self) -> bool {
        self.is_finished() && self.unread_from().is_none()
    }

    /// The answers that are lost with the stream.
    pub(crate) fn unread_answers(&self) -> u64 {
        self.ring.iter().map(|event| u64::from(self.is_unread_answer(event))).sum()
    }

    /// True of an answer that no reader was given, nor is an error in its place.
    fn is_unread_answer(&self, event: &Event) -> bool {
        event.answers.is_some() && !event.stands_in && event.sequence >= self.read_up_to
    }
}
