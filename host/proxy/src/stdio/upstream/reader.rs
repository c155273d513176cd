//! Cuts the server's stdout into lines, within bounds, whatever it holds.
use std::io::BufRead;
use std::sync::{Arc, Weak};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::protocol::json;
use crate::protocol::json::{Level, Scan};
use crate::protocol::message::{Id, Message, MessageError, is_answer};
use crate::stdio::shared::Shared;
use crate::stdio::upstream::connection::{Junk, Phase, excerpt};

const CHUNK: usize = 64 * 1024;
/// A buffer that grew beyond this for one line is given back afterwards.
const LARGE: usize = 1024 * 1024;

/// Reads until the end, then ends the generation.
pub(crate) async fn read<R>(mut source: R, generation: u64, proxy: Weak<Shared>, most: usize)
where
    R: AsyncRead + Send + Unpin + 'static,
{
    let mut lines = Lines { buffer: BytesMut::with_capacity(CHUNK), searched: 0, skipping: false, most };
    loop {
        lines.make_room();
        match source.read_buf(&mut lines.buffer).await {
            Ok(count) if count > 0 => {}
            Ok(_) => break,
            Err(error) => {
                tracing::debug!(%error, "reading the server's output failed");
                break;
            }
        }
        let Some(proxy) = proxy.upgrade() else { return };
        lines.deliver(&proxy, generation);
    }
    if let Some(proxy) = proxy.upgrade() {
        lines.deliver_rest(&proxy, generation);
        proxy.generation_ended(generation);
    }
}

struct Lines {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no newline.
    searched: usize,
    /// The rest of a line that was too long is passing.
    skipping: bool,
    most: usize,
}

impl Lines {
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
            if !std::mem::take(&mut self.skipping) {
                if line.len() > self.most {
                    proxy.overlong(generation, &line);
                } else {
                    proxy.receive(generation, &line);
                }
            }
        }
        self.searched = self.buffer.len();
        if self.skipping || self.buffer.len() > self.most {
            let beginning = self.buffer.split().freeze();
            if !std::mem::replace(&mut self.skipping, true) {
                proxy.overlong(generation, &beginning);
            }
            self.searched = 0;
        }
    }

    /// The last line may lack its newline.
    fn deliver_rest(self, proxy: &Arc<Shared>, generation: u64) {
        if !self.skipping {
            proxy.receive(generation, &self.buffer.freeze());
        }
    }
}

/// Where the first newline is. (`skip_until` is the standard library's way to its fast byte search.)
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
        let (scan, result) = json::scan(line, self.options.limits.json_depth);
        if result.is_err() {
            self.junk(generation, line, answered_id(&scan));
        } else if scan.text.first() == Some(&b'[') {
            // Servers of 2025-03-26 may answer in batches.
            for element in &scan.elements {
                let element = scan.text.slice(element.clone());
                let message = Message::parse(&element, self.options.limits.json_depth);
                self.receive_message(generation, &element, message);
            }
        } else {
            self.receive_message(generation, line, Message::from_scan(scan));
        }
    }

    fn receive_message(
        self: &Arc<Self>,
        generation: u64,
        line: &[u8],
        message: Result<Message, MessageError>,
    ) {
        match message {
            Ok(message) => self.route(generation, message),
            Err(MessageError::Invalid { id: Some(id), is_answer: true, .. }) => {
                self.junk(generation, line, upstream_id(&id));
            }
            Err(_) => self.junk(generation, line, None),
        }
    }

    /// A line over the limit: if it could be seen whose answer it was, that request fails.
    fn overlong(self: &Arc<Self>, generation: u64, beginning: &Bytes) {
        let start = beginning.slice(..beginning.len().min(CHUNK));
        let (scan, _) = json::scan(&start, self.options.limits.json_depth);
        tracing::warn!(workload = %self.options.workload, "skipping a line of the server that is too long");
        self.junk(generation, beginning, answered_id(&scan));
    }

    /// Notes a line that is no message, and fails the request that it would have answered.
    fn junk(self: &Arc<Self>, generation: u64, line: &[u8], answers: Option<u64>) {
        self.with(|state| {
            let Some(upstream) = state.upstream.as_mut().filter(|upstream| upstream.generation == generation)
            else {
                return;
            };
            let Junk { lines, bytes, excerpt: first } = &mut upstream.junk;
            *lines += 1;
            *bytes = bytes.saturating_add(line.len());
            let is_handshaking = upstream.phase == Phase::Handshaking;
            if *lines == 1 {
                tracing::warn!(workload = %self.options.workload, bytes = line.len(), "the server writes no MCP");
            }
            tracing::debug!(workload = %self.options.workload, line = %excerpt(line), "no message");
            first.get_or_insert_with(|| excerpt(line));
            if is_handshaking && *bytes > self.options.limits.handshake_junk_bytes {
                upstream.flooded.notify_one();
            }
            if let Some(id) = answers {
                state.fail_call(id, "the server's answer was too long or no valid JSON-RPC");
            }
        });
    }
}

fn answered_id(scan: &Scan) -> Option<u64> {
    if !is_answer(scan) {
        return None;
    }
    upstream_id(&Id::from_json(scan.value(Level::Top, "id")?)?)
}

/// An id that we gave.
pub(crate) fn upstream_id(id: &Id) -> Option<u64> {
    std::str::from_utf8(id.as_json()).ok()?.parse().ok()
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
