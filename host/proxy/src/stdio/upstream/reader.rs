//! Cuts the server's stdout into lines, within limits, whatever bytes it has.
use std::io::BufRead;
use std::sync::{Arc, Weak};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::http::budget::BodyCharge;
use crate::protocol::forgiven::{is_utf16, own_id, without_mark};
use crate::protocol::json;
use crate::protocol::json::{JsonError, Scan};
use crate::protocol::message::{Message, MessageError};
use crate::stdio::shared::Shared;
use crate::stdio::upstream::answers::{Answers, answered, answered_alone, is_batch};
use crate::stdio::upstream::connection::{Junk, Phase, excerpt};

const CHUNK: usize = 64 * 1024;
/// A buffer that grew beyond this for one line is given back afterwards.
const LARGE: usize = 1024 * 1024;

/// Reads until the end, then ends the generation.
pub(crate) async fn read<R>(mut source: R, generation: u64, proxy: Weak<Shared>, most: usize)
where
    R: AsyncRead + Send + Unpin + 'static,
{
    let mut lines = Lines::new(most);
    loop {
        lines.make_room();
        let read = match lines.held.as_ref().map(|held| held.charge.dropped.clone()) {
            None => source.read_buf(&mut lines.buffer).await,
            Some(dropped) => tokio::select! {
                read = source.read_buf(&mut lines.buffer) => read,
                () = dropped.cancelled() => {
                    lines.skip(NO_MEMORY);
                    continue;
                }
            },
        };
        match read {
            Ok(count) if count > 0 => {}
            Ok(_) => break,
            Err(error) => {
                tracing::debug!(%error, "reading the server's output failed");
                break;
            }
        }
        let Some(shared) = proxy.upgrade() else { return };
        lines.deliver(&shared, generation);
        drop(shared);
        // A server that writes without a pause must not keep everybody else on this thread from their turn: its own handshake
        // would have no deadline, and its workload no stop.
        tokio::task::yield_now().await;
    }
    if let Some(proxy) = proxy.upgrade() {
        lines.deliver_rest(&proxy, generation);
        proxy.generation_ended(generation);
    }
}

struct Lines {
    buffer: BytesMut,
    /// The part of the buffer that is known to hold no newline.
    searched: usize,
    /// The rest of a line is passing that was too long, or had to make room.
    skipped: Option<Skipped>,
    /// The line that is being read is charged to the budget, since it is long.
    held: Option<HeldLine>,
    most: usize,
}

/// A long line that is being read. Lines of several servers may be, and each of them may stop in the middle.
struct HeldLine {
    charge: BodyCharge,
    bytes: usize,
}

const TOO_LONG: &str = "too long";
const NO_MEMORY: &str = "too long for the memory that is left";

/// A line that is too long, as far as it is kept.
struct Skipped {
    why: &'static str,
    beginning: Bytes,
    end: Vec<u8>,
    length: usize,
}

/// The number of bytes that are kept of the end of a long line: its id may be the last member.
const END: usize = 256;

impl Skipped {
    fn new(line: &[u8], why: &'static str) -> Self {
        // A copy: the line itself must not stay in memory.
        let beginning = Bytes::copy_from_slice(&line[..line.len().min(CHUNK)]);
        let mut skipped = Self { why, beginning, end: Vec::new(), length: 0 };
        skipped.pass(line);
        skipped
    }

    fn pass(&mut self, part: &[u8]) {
        self.length += part.len();
        self.end.extend_from_slice(&part[part.len().saturating_sub(END)..]);
        self.end.drain(..self.end.len().saturating_sub(END));
    }
}

impl Lines {
    fn new(most: usize) -> Self {
        let buffer = BytesMut::with_capacity(CHUNK);
        Self { buffer, searched: 0, skipped: None, held: None, most }
    }

    fn make_room(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > LARGE {
            self.buffer = BytesMut::with_capacity(CHUNK);
        } else if self.buffer.capacity() - self.buffer.len() < CHUNK / 4 {
            self.buffer.reserve(CHUNK.max(self.buffer.len().min(LARGE)));
        }
    }

    fn deliver(&mut self, proxy: &Arc<Shared>, generation: u64) {
        while let Some(end) = newline(&self.buffer[self.searched..]).map(|at| self.searched + at) {
            let line = self.buffer.split_to(end).freeze();
            self.buffer.advance(1);
            self.searched = 0;
            // It is passed on now.
            self.held = None;
            match self.skipped.take() {
                Some(mut skipped) => {
                    skipped.pass(&line);
                    proxy.overlong(generation, &skipped);
                }
                None if line.len() > self.most => {
                    proxy.overlong(generation, &Skipped::new(&line, TOO_LONG));
                }
                None => proxy.receive(generation, &line),
            }
        }
        self.searched = self.buffer.len();
        if self.skipped.is_some() || self.buffer.len() > self.most {
            self.skip(TOO_LONG);
        } else if self.buffer.len() > LARGE {
            self.hold(proxy);
        }
    }

    /// Charges the line that is being read, as far as it has come.
    fn hold(&mut self, proxy: &Shared) {
        let begin = || HeldLine { charge: proxy.budget.read_body(proxy.budget.line()), bytes: 0 };
        let held = self.held.get_or_insert_with(begin);
        held.charge.add(self.buffer.len() - held.bytes);
        held.bytes = self.buffer.len();
        if proxy.budget.is_over() {
            proxy.free_memory();
        }
    }

    /// Gives up the line that is being read.
    fn skip(&mut self, why: &'static str) {
        let mut part = std::mem::take(&mut self.buffer);
        match &mut self.skipped {
            Some(skipped) => skipped.pass(&part),
            None => self.skipped = Some(Skipped::new(&part, why)),
        }
        if part.capacity() <= LARGE {
            part.clear();
            self.buffer = part;
        }
        (self.searched, self.held) = (0, None);
    }

    /// The last line may lack its newline.
    fn deliver_rest(self, proxy: &Arc<Shared>, generation: u64) {
        match self.skipped {
            Some(skipped) => proxy.overlong(generation, &skipped),
            None => proxy.receive(generation, &self.buffer.freeze()),
        }
    }
}

/// The position of the first newline. (`skip_until` is the standard library's way to its fast byte search.)
fn newline(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let passed = rest.skip_until(b'\n').ok()?;
    (passed > 0 && bytes[passed - 1] == b'\n').then(|| passed - 1)
}

impl Shared {
    /// Takes one line of the server's output.
    pub(crate) fn receive(self: &Arc<Self>, generation: u64, line: &Bytes) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let line = &without_mark(line);
        let (scan, result) = json::scan(line, self.options.limits.json_depth);
        if !is_batch(&scan) {
            if let Some(scan) = self.taken(generation, line, scan, result) {
                self.receive_message(generation, line, Message::of_server(scan));
            }
            return;
        }
        self.receive_elements(generation, &scan, result.is_ok());
        if let Err(error) = result {
            let answers = answered(&scan, end_of(line), self.options.limits.json_depth);
            self.junk(generation, line, line.len(), &error.to_string(), answers);
        }
    }

    /// Takes the messages of a batch, as far as it could be read: servers of 2025-03-26 may answer in batches. A line that is no
    /// batch to its end is noted as a whole: what is no object in it may be the time before a log.
    fn receive_elements(self: &Arc<Self>, generation: u64, batch: &Scan, is_whole: bool) {
        for element in &batch.elements {
            let element = batch.text.slice(element.clone());
            if !is_whole && element.first() != Some(&b'{') {
                continue;
            }
            // By itself its members count, which in the array they did not.
            let (scan, result) = json::scan(&element, self.options.limits.json_depth);
            if let Some(scan) = self.taken(generation, &element, scan, result) {
                self.receive_message(generation, &element, Message::of_server(scan));
            }
        }
    }

    /// The scan of a text of the server; if it cannot be taken, it is noted, and the request fails that it would have answered.
    fn taken(
        self: &Arc<Self>,
        generation: u64,
        line: &Bytes,
        scan: Scan,
        result: Result<(), JsonError>,
    ) -> Option<Scan> {
        let Err(error) = result else { return Some(scan) };
        let (why, answers) = match error {
            // As its first output: each further line would be as this one.
            JsonError::Encoding if is_utf16(line) => ("UTF-16, and MCP is UTF-8".into(), Answers::Stray),
            error => (error.to_string(), answered_alone(&scan, end_of(line))),
        };
        self.junk(generation, line, line.len(), &why, answers);
        None
    }

    fn receive_message(
        self: &Arc<Self>,
        generation: u64,
        line: &[u8],
        message: Result<Message, MessageError>,
    ) {
        match message {
            Ok(message) => self.route(generation, message),
            Err(MessageError::Invalid { id, reason, is_answer }) => {
                let answers = match id {
                    _ if !is_answer => Answers::Nothing,
                    Some(id) => own_id(id.as_json()).map_or(Answers::Stray, Answers::Call),
                    None => Answers::Unknown,
                };
                self.junk(generation, line, line.len(), reason, answers);
            }
            Err(MessageError::Json(error)) => {
                self.junk(generation, line, line.len(), &error.to_string(), Answers::Nothing);
            }
        }
    }

    /// A line over the limit: if it could be seen whose answer it was, that request fails. What is whole of a batch is taken.
    fn overlong(self: &Arc<Self>, generation: u64, line: &Skipped) {
        let depth = self.options.limits.json_depth;
        let (scan, _) = json::scan(&line.beginning, depth);
        if is_batch(&scan) {
            self.receive_elements(generation, &scan, false);
        }
        let answers = answered(&scan, &line.end, depth);
        self.junk(generation, &line.beginning, line.length, line.why, answers);
    }

    /// Notes a line that is no message, and fails the request that it would have answered.
    fn junk(self: &Arc<Self>, generation: u64, line: &[u8], length: usize, why: &str, answers: Answers) {
        self.with(|state| {
            let Some(upstream) = state.upstream.as_mut().filter(|upstream| upstream.generation == generation)
            else {
                return;
            };
            let Junk { bytes, excerpt: first } = &mut upstream.junk;
            *bytes = bytes.saturating_add(length);
            let is_handshaking = upstream.phase == Phase::Handshaking;
            first.get_or_insert_with(|| excerpt(line));
            if is_handshaking && *bytes > self.options.limits.handshake_junk_bytes {
                upstream.flooded.notify_one();
            }
            state.tell_no_message(&self.options.workload, why, line, length);
            let wait = match answers {
                Answers::Call(id) if state.may_answer(id) => Some(id),
                Answers::Unknown => state.only_wait(),
                Answers::Call(_) | Answers::Stray => state.only_wait().filter(|_| is_handshaking),
                Answers::Nothing => None,
            };
            if let Some(wait) = wait {
                state.fail_wait(wait, why, line);
            }
        });
    }
}

/// The part of a line in which its id may be the last member.
fn end_of(line: &[u8]) -> &[u8] {
    &line[line.len().saturating_sub(END)..]
}

#[cfg(test)]
mod tests {
    use super::newline;

    #[test]
    fn the_first_newline_is_found() {
        assert_eq!(newline(b"ab\ncd\n"), Some(2));
        assert_eq!(newline(b"\n"), Some(0));
        assert_eq!(newline(b"abc"), None);
        assert_eq!(newline(b""), None);
    }
}
