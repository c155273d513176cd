//! One SSE stream of a session: the events that it still holds, and its reader.
//!
//! The stream outlives its connection, so that a client can resume it (`docs/mcp.md`, 11.6): events stay in a ring that
//! is bounded in count and bytes. A connected reader may lag further than the ring, up to the queue limits. A POST's
//! stream counts as read from its start: its reader is on the way. Beyond the limits log messages and progress are
//! dropped first; a GET stream whose reader still lags loses it, and the ring is kept. An answer is never dropped here.
use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::budget::Account;
use crate::protocol::message::Id;
use crate::protocol::options::Limits;
use crate::stdio::event_log::stand_in::{SMALL_ANSWER_BYTES, not_kept};

/// Number of a stream, unique in the proxy: another session's event id is found nowhere.
pub(crate) type StreamNo = u64;

/// The request that opened a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// A GET: carries what belongs to no request.
    Get,
    /// A POST: carries what belongs to its requests, ends with the last answer.
    Post,
}

/// How important a message on a stream is.
#[derive(Debug, Clone)]
pub(crate) enum Importance {
    /// A log message, or progress: dropped if the client does not keep up.
    Droppable,
    /// A message that a client has to get.
    Needed,
    /// The answer to a request of that id. Under pressure on memory an error takes its place.
    Answer(Id),
}

/// An event's place: `STREAM-SEQUENCE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) stream: StreamNo,
    pub(crate) sequence: u64,
}

impl EventId {
    /// Parses a client's `Last-Event-ID`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (stream, sequence) = text.split_once('-')?;
        Some(Self { stream: stream.parse().ok()?, sequence: sequence.parse().ok()? })
    }
}

#[derive(Debug)]
struct Event {
    sequence: u64,
    frame: Bytes,
    /// The request that it answers.
    answers: Option<Id>,
    /// It is an error in the place of the answer, whose loss was counted.
    stands_in: bool,
}

/// A connected reader.
#[derive(Debug)]
struct Reader {
    number: u64,
    /// The next event it wants.
    next: u64,
    waker: Option<Waker>,
    /// Ends the connection even while it is stuck in a write.
    abort: Option<CancellationToken>,
}

/// The result of a reader's question for more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Events, in their SSE form.
    Events(Bytes),
    /// There is nothing at the moment.
    Nothing,
    /// No more ever.
    Ended,
    /// The reader lagged too far, or another reader took its place.
    Dropped,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    number: StreamNo,
    kind: StreamKind,
    account: Account,
    next_sequence: u64,
    ring: VecDeque<Event>,
    bytes: usize,
    unread_bytes: usize,
    reader: Option<Reader>,
    readers: u64,
    /// Every event before it was given to a reader.
    read_up_to: u64,
    /// After the last answer that is no longer held, and for which no error stands.
    answers_from: u64,
    /// Messages that readers have missed and that are not told yet, and the first one that is not among them.
    missed: u64,
    missed_to: u64,
    /// Requests that will still be answered here (POST).
    pub(crate) open_calls: usize,
    finished: bool,
    /// Since when nobody reads, or nothing comes any more.
    quiet_since: Option<Instant>,
}

impl Stream {
    pub(crate) fn new(
        number: StreamNo,
        kind: StreamKind,
        primed: bool,
        account: Account,
        now: Instant,
    ) -> Self {
        let mut stream = Self {
            number,
            kind,
            account,
            next_sequence: 1,
            ring: VecDeque::new(),
            bytes: 0,
            unread_bytes: 0,
            reader: None,
            readers: 0,
            read_up_to: 0,
            answers_from: 0,
            missed: 0,
            missed_to: 0,
            open_calls: 0,
            finished: false,
            quiet_since: Some(now),
        };
        if primed {
            let frame = Bytes::from(format!("id: {number}-0\nretry: 1000\ndata: \n\n"));
            stream.bytes = frame.len();
            stream.unread_bytes = frame.len();
            stream.ring.push_back(Event { sequence: 0, frame, answers: None, stands_in: false });
        }
        stream
    }

    pub(crate) fn kind(&self) -> StreamKind {
        self.kind
    }

    pub(crate) fn is_read(&self) -> bool {
        self.reader.is_some()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Since when it could have been forgotten.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        self.quiet_since
    }

    /// The first event that its reader, or the one that is on the way, has not got; `None` without either.
    fn unread_from(&self) -> Option<u64> {
        match &self.reader {
            Some(reader) => Some(reader.next),
            None if self.kind == StreamKind::Post && self.readers == 0 => Some(0),
            None => None,
        }
    }

    /// Adds a message, which must be compact JSON (no line ends). False if it was dropped, which happens to droppable ones
    /// alone.
    pub(crate) fn push(&mut self, message: &[u8], importance: Importance, limits: &Limits) -> bool {
        if self.finished || (matches!(importance, Importance::Droppable) && self.is_full(limits)) {
            return false;
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let frame = self.frame(sequence, message);
        self.bytes += frame.len();
        if self.unread_from().is_some() {
            self.unread_bytes += frame.len();
        }
        let answers = if let Importance::Answer(id) = importance { Some(id) } else { None };
        self.ring.push_back(Event { sequence, frame, answers, stands_in: false });
        self.evict(limits);
        self.wake();
        true
    }

    fn frame(&self, sequence: u64, message: &[u8]) -> Bytes {
        let head = format!("id: {}-{sequence}\nevent: message\ndata: ", self.number);
        self.account.hold([head.as_bytes(), message, b"\n\n"].concat())
    }

    /// True if another message would push one out, or its reader lags as far as it may.
    fn is_full(&self, limits: &Limits) -> bool {
        match self.unread_from() {
            Some(_) => {
                self.lag() >= limits.stream_queue_events || self.unread_bytes >= limits.stream_queue_bytes
            }
            None => self.ring.len() >= limits.ring_events || self.bytes >= limits.ring_bytes,
        }
    }

    /// Events that its reader has not got.
    fn lag(&self) -> usize {
        let unread = self.unread_from().unwrap_or(u64::MAX);
        self.ring.len() - self.ring.partition_point(|event| event.sequence < unread)
    }

    fn evict(&mut self, limits: &Limits) {
        if self.kind == StreamKind::Get && self.reader.is_some() {
            let lag = self.lag();
            // A single message may be larger than the queue: it must be delivered all the same.
            let is_slow = lag > limits.stream_queue_events
                || (self.unread_bytes > limits.stream_queue_bytes && lag > 1);
            if is_slow {
                tracing::debug!(stream = self.number, lag, "a reader lags too far behind and is dropped");
                self.drop_reader();
            }
        }
        let unread = self.unread_from().unwrap_or(u64::MAX);
        while self.ring.len() > limits.ring_events || self.bytes > limits.ring_bytes {
            let Some(first) = self.ring.front() else { break };
            // Nobody has read the newest one yet, so it can still be asked for.
            let is_last_unread = self.ring.len() == 1 && first.sequence >= self.read_up_to;
            if first.sequence >= unread || is_last_unread {
                break;
            }
            let Some(Event { sequence, frame, answers, .. }) = self.ring.pop_front() else { break };
            self.bytes -= frame.len();
            let Some(id) = answers else { continue };
            if frame.len() <= SMALL_ANSWER_BYTES + id.as_json().len() {
                self.answers_from = sequence + 1;
                continue;
            }
            // Its connection may break before all of it is written: then its client is told, and need not wait. What tells it
            // is never longer than this, however long the id: it goes when it is evicted itself.
            let frame = self.frame(sequence, &not_kept(&id));
            self.bytes += frame.len();
            self.ring.push_front(Event { sequence, frame, answers: Some(id), stands_in: true });
        }
    }

    fn drop_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.quiet_since = Some(Instant::now());
            self.unread_bytes = 0;
            if let Some(waker) = reader.waker {
                waker.wake();
            }
            if let Some(abort) = reader.abort {
                abort.cancel();
            }
        }
    }

    /// Connects a reader that has seen everything up to `seen` (`None`: nothing). `None` when what follows is gone.
    ///
    /// Situation: the stream of a POST had a burst, and only the end of it is held once its connection has broken. Conclusion:
    /// its client gets that end, for the answer is in it; the gap is counted ([`Self::take_missed`]).
    pub(crate) fn attach(&mut self, seen: Option<u64>, abort: Option<CancellationToken>) -> Option<u64> {
        let first = self.ring.front().map_or(self.next_sequence, |event| event.sequence);
        let mut next = seen.map_or(first, |seen| seen.saturating_add(1));
        if next > self.next_sequence {
            return None;
        }
        if next < first {
            if self.kind == StreamKind::Get || next < self.answers_from {
                return None;
            }
            self.missed += first.saturating_sub(next.max(self.missed_to));
            (next, self.missed_to) = (first, first);
        }
        if let Some(before) = self.reader.take()
            && let Some(waker) = before.waker
        {
            waker.wake();
        }
        self.readers += 1;
        self.quiet_since = None;
        self.reader = Some(Reader { number: self.readers, next, waker: None, abort });
        self.count_unread();
        Some(self.readers)
    }

    /// The messages before an answer that readers have missed since this was last asked.
    pub(crate) fn take_missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }

    fn count_unread(&mut self) {
        let unread = self.unread_from().unwrap_or(u64::MAX);
        let unread = self.ring.iter().filter(|event| event.sequence >= unread);
        self.unread_bytes = unread.map(|event| event.frame.len()).sum();
    }

    /// The reader's connection has gone.
    pub(crate) fn detach(&mut self, reader: u64, limits: &Limits) {
        if self.reader.as_ref().is_some_and(|current| current.number == reader) {
            self.reader = None;
            self.unread_bytes = 0;
            self.quiet_since = Some(Instant::now());
            self.evict(limits);
        }
    }

    /// The events that the reader has not got yet, up to about `most` bytes; its waker is kept when there are none.
    pub(crate) fn take(&mut self, reader: u64, most: usize, waker: &Waker, limits: &Limits) -> Taken {
        let Some(current) = self.reader.as_mut().filter(|current| current.number == reader) else {
            return Taken::Dropped;
        };
        let skip = self.ring.partition_point(|event| event.sequence < current.next);
        let mut events = self.ring.iter().skip(skip);
        let Some(first) = events.next() else {
            if self.finished {
                return Taken::Ended;
            }
            current.waker = Some(waker.clone());
            return Taken::Nothing;
        };
        current.next = first.sequence + 1;
        let mut taken = first.frame.clone();
        let mut joined: Option<Vec<u8>> = None;
        for event in events {
            let so_far = joined.as_ref().map_or(taken.len(), Vec::len);
            if so_far + event.frame.len() > most {
                break;
            }
            joined.get_or_insert_with(|| taken.to_vec()).extend_from_slice(&event.frame);
            current.next = event.sequence + 1;
        }
        if let Some(joined) = joined {
            taken = self.account.hold(joined);
        }
        self.read_up_to = self.read_up_to.max(current.next);
        self.unread_bytes = self.unread_bytes.saturating_sub(taken.len());
        // A large event was kept for this reader alone.
        self.evict(limits);
        Taken::Events(taken)
    }

    /// Marks the end: no more events will come; the present ones can still be read and resumed.
    pub(crate) fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            if self.reader.is_none() {
                self.quiet_since = Some(Instant::now());
            }
            self.wake();
        }
    }

    /// Has the reader look again.
    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.reader.as_mut().and_then(|reader| reader.waker.take()) {
            waker.wake();
        }
    }
}

pub(crate) mod shed;
pub(crate) mod stand_in;
#[cfg(test)]
mod tests;
