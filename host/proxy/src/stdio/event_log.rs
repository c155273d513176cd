//! One SSE stream of a session: the events it still holds, and who reads it.
//!
//! The stream outlives its connection, so that a client can resume it (`docs/mcp.md`, 11.6): events stay in a ring that
//! is bounded in count and bytes, its newest event always among them. A connected reader may lag further than
//! the ring, up to the queue limits; beyond them it is dropped and the ring is kept.
use std::collections::VecDeque;
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::protocol::options::Limits;

/// Number of a stream, unique in the proxy: another session's event id is found nowhere.
pub(crate) type StreamNo = u64;

/// What a stream was opened by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// A GET: carries what belongs to no request.
    Get,
    /// A POST: carries what belongs to its requests, ends with the last answer.
    Post,
}

/// An event's place: `STREAM-SEQUENCE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) stream: StreamNo,
    pub(crate) sequence: u64,
}

impl EventId {
    /// Reads what a client sent as `Last-Event-ID`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (stream, sequence) = text.split_once('-')?;
        Some(Self { stream: stream.parse().ok()?, sequence: sequence.parse().ok()? })
    }
}

#[derive(Debug)]
struct Event {
    sequence: u64,
    frame: Bytes,
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

/// What a reader gets when it asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Events, in their SSE form.
    Events(Bytes),
    /// Nothing now.
    Nothing,
    /// No more ever.
    Ended,
    /// It lagged too far, or another reader took its place.
    Dropped,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    number: StreamNo,
    kind: StreamKind,
    next_sequence: u64,
    ring: VecDeque<Event>,
    bytes: usize,
    unread_bytes: usize,
    reader: Option<Reader>,
    readers: u64,
    /// Requests that will still be answered here (POST).
    pub(crate) open_calls: usize,
    finished: bool,
    /// Since when nobody reads, or nothing comes any more.
    quiet_since: Option<Instant>,
}

impl Stream {
    pub(crate) fn new(number: StreamNo, kind: StreamKind, primed: bool, now: Instant) -> Self {
        let mut stream = Self {
            number,
            kind,
            next_sequence: 1,
            ring: VecDeque::new(),
            bytes: 0,
            unread_bytes: 0,
            reader: None,
            readers: 0,
            open_calls: 0,
            finished: false,
            quiet_since: Some(now),
        };
        if primed {
            let frame = Bytes::from(format!("id: {number}-0\nretry: 1000\ndata: \n\n"));
            stream.bytes = frame.len();
            stream.ring.push_back(Event { sequence: 0, frame });
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

    /// Adds a message, which must be compact JSON (no line ends).
    pub(crate) fn push(&mut self, message: &[u8], limits: &Limits) {
        if self.finished {
            return;
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let head = format!("id: {}-{sequence}\nevent: message\ndata: ", self.number);
        let frame: Bytes = [head.as_bytes(), message, b"\n\n"].concat().into();
        self.bytes += frame.len();
        if self.reader.is_some() {
            self.unread_bytes += frame.len();
        }
        self.ring.push_back(Event { sequence, frame });
        self.evict(limits);
        self.wake();
    }

    fn evict(&mut self, limits: &Limits) {
        if let Some(reader) = &self.reader {
            let lag = self.next_sequence - reader.next.min(self.next_sequence);
            // One message alone may be larger than the queue: it has to be delivered somehow.
            let is_slow = lag > limits.stream_queue_events as u64
                || (self.unread_bytes > limits.stream_queue_bytes && lag > 1);
            if is_slow {
                tracing::debug!(stream = self.number, lag, "a reader lags too far behind and is dropped");
                self.drop_reader();
            }
        }
        while self.ring.len() > 1 && (self.ring.len() > limits.ring_events || self.bytes > limits.ring_bytes)
        {
            let unread = self.reader.as_ref().map_or(u64::MAX, |reader| reader.next);
            if self.ring.front().is_some_and(|event| event.sequence >= unread) {
                break;
            }
            let Some(event) = self.ring.pop_front() else { break };
            self.bytes -= event.frame.len();
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
    pub(crate) fn attach(&mut self, seen: Option<u64>, abort: Option<CancellationToken>) -> Option<u64> {
        let first = self.ring.front().map_or(self.next_sequence, |event| event.sequence);
        let next = seen.map_or(first, |seen| seen.saturating_add(1));
        if next < first || next > self.next_sequence {
            return None;
        }
        if let Some(before) = self.reader.take()
            && let Some(waker) = before.waker
        {
            waker.wake();
        }
        self.readers += 1;
        self.quiet_since = None;
        self.unread_bytes =
            self.ring.iter().filter(|event| event.sequence >= next).map(|event| event.frame.len()).sum();
        self.reader = Some(Reader { number: self.readers, next, waker: None, abort });
        Some(self.readers)
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

    /// What the reader has not seen yet, up to about `most` bytes; its waker is kept when there is nothing.
    pub(crate) fn take(&mut self, reader: u64, most: usize, waker: &Waker) -> Taken {
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
        let mut joined: Option<BytesMut> = None;
        for event in events {
            let so_far = joined.as_ref().map_or(taken.len(), BytesMut::len);
            if so_far + event.frame.len() > most {
                break;
            }
            joined.get_or_insert_with(|| BytesMut::from(&taken[..])).extend_from_slice(&event.frame);
            current.next = event.sequence + 1;
        }
        if let Some(joined) = joined {
            taken = joined.freeze();
        }
        self.unread_bytes = self.unread_bytes.saturating_sub(taken.len());
        Taken::Events(taken)
    }

    /// Nothing more will come; what is there can still be read and resumed.
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

#[cfg(test)]
mod tests;
