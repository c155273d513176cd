//! One pass over a JSON text: checks its grammar without recursion, compacts it to one line, and notes where
//! the members of the message, of its `params` and of `params._meta` lie.
//!
//! Nothing is turned into values: payloads pass as the bytes they came as, and a text that is compact already is not
//! even copied. Invariants of the output: no byte
//! below 0x20, no whitespace outside strings, no U+0085, U+2028 or U+2029 (some readers of lines take them for
//! line ends), so that a message can be one line of stdin or one `data:` line whatever it holds.
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

/// Which object a noted member belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The message itself.
    Top,
    /// Its `params`.
    Params,
    /// `params._meta`.
    Meta,
}

/// Where a member's key (with its quotes) and value lie in the compacted text.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) level: Level,
    pub(crate) key: Range<usize>,
    pub(crate) value: Range<usize>,
    escaped: bool,
}

/// Why a text is no JSON that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    /// Bytes that are no UTF-8.
    #[error("not UTF-8")]
    Encoding,
    /// Violates the grammar.
    #[error("not JSON")]
    Syntax,
    /// Nested deeper than the limit.
    #[error("nested too deep")]
    Depth,
}

/// A compacted text and what was noted of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scan {
    /// The compacted text, a part of what was scanned where that was compact; after an error, as far as it was
    /// understood.
    pub(crate) text: Bytes,
    /// Noted members, in order of appearance.
    pub(crate) members: Vec<Member>,
    /// Where the elements lie, when the text is an array.
    pub(crate) elements: Vec<Range<usize>>,
}

impl Scan {
    /// A member's key without quotes, escapes undone.
    fn key<'a>(&'a self, member: &Member) -> Cow<'a, [u8]> {
        let quoted = &self.text[member.key.clone()];
        if member.escaped
            && let Ok(decoded) = serde_json::from_slice::<String>(quoted)
        {
            return Cow::Owned(decoded.into_bytes());
        }
        Cow::Borrowed(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default())
    }

    /// Whether a member has that name.
    pub(crate) fn is_named(&self, member: &Member, name: &str) -> bool {
        self.key(member).as_ref() == name.as_bytes()
    }

    /// The first member of that name.
    pub(crate) fn member(&self, level: Level, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.level == level && self.is_named(member, name))
    }

    /// The first such member's value, compacted.
    pub(crate) fn value(&self, level: Level, name: &str) -> Option<&[u8]> {
        self.member(level, name).map(|member| &self.text[member.value.clone()])
    }

    /// Whether a noted object holds a name twice: two readers would see two different messages.
    pub(crate) fn has_duplicate_keys(&self) -> bool {
        [Level::Top, Level::Params, Level::Meta].into_iter().any(|level| {
            let of_level = || self.members.iter().filter(move |member| member.level == level);
            let count = of_level().count();
            if count <= 16 {
                return of_level()
                    .enumerate()
                    .any(|(at, one)| of_level().take(at).any(|other| self.key(one) == self.key(other)));
            }
            of_level().map(|member| self.key(member)).collect::<HashSet<_>>().len() < count
        })
    }
}

/// Scans a text. The scan is returned beside an error too: what was noted before it is right.
pub(crate) fn scan(source: &Bytes, depth: usize) -> (Scan, Result<(), JsonError>) {
    let input: &[u8] = source;
    let mut scanner = Scanner {
        input,
        at: 0,
        run: 0,
        out: Vec::new(),
        members: Vec::with_capacity(8),
        elements: Vec::new(),
        stack: Vec::with_capacity(16),
        open: [0; 3],
        depth,
    };
    let result = match std::str::from_utf8(input) {
        Ok(_) => scanner.text(),
        Err(error) => {
            // What lies before the bad byte may still tell whose answer this was.
            scanner.input = &input[..error.valid_up_to()];
            let _ = scanner.text();
            Err(JsonError::Encoding)
        }
    };
    let text = scanner.finish(source);
    (Scan { text, members: scanner.members, elements: scanner.elements }, result)
}

/// An open container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Object(Option<Level>),
    Array { root: bool },
}

/// What the grammar wants next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    CommaOrEnd,
    Nothing,
}

struct Scanner<'a> {
    input: &'a [u8],
    at: usize,
    /// Start of the input that is not copied yet.
    run: usize,
    /// Stays empty as long as the output is one piece of the input.
    out: Vec<u8>,
    members: Vec<Member>,
    elements: Vec<Range<usize>>,
    stack: Vec<Frame>,
    /// Index of the member being read, per level.
    open: [usize; 3],
    depth: usize,
}

impl Scanner<'_> {
    fn flush(&mut self) {
        let piece = &self.input[self.run..self.at];
        if self.out.is_empty() && !piece.is_empty() {
            self.out.reserve(self.input.len() - self.run);
        }
        self.out.extend_from_slice(piece);
        self.run = self.at;
    }

    fn finish(&mut self, source: &Bytes) -> Bytes {
        if self.out.is_empty() {
            return source.slice(self.run..self.at);
        }
        self.flush();
        std::mem::take(&mut self.out).into()
    }

    /// Where the next input byte will lie in the output.
    fn position(&self) -> usize {
        self.out.len() + (self.at - self.run)
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn skip_whitespace(&mut self) {
        let is_white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let rest = &self.input[self.at..];
        match rest.iter().position(|byte| !is_white(byte)) {
            Some(0) => {}
            Some(white) => {
                self.flush();
                self.at += white;
                self.run = self.at;
            }
            // What follows the text is no gap in it.
            None => self.input = &self.input[..self.at],
        }
    }

    fn text(&mut self) -> Result<(), JsonError> {
        let mut want = Want::Value;
        loop {
            self.skip_whitespace();
            let Some(byte) = self.peek() else {
                return if want == Want::Nothing { Ok(()) } else { Err(JsonError::Syntax) };
            };
            want = match want {
                Want::Nothing => return Err(JsonError::Syntax),
                Want::ValueOrEnd if byte == b']' => self.close()?,
                Want::KeyOrEnd if byte == b'}' => self.close()?,
                Want::Value | Want::ValueOrEnd => self.value(byte)?,
                Want::Key | Want::KeyOrEnd => self.key()?,
                Want::CommaOrEnd => match (byte, self.stack.last()) {
                    (b',', Some(Frame::Object(_))) => self.step(Want::Key),
                    (b',', Some(Frame::Array { .. })) => self.step(Want::Value),
                    (b'}', Some(Frame::Object(_))) | (b']', Some(Frame::Array { .. })) => self.close()?,
                    _ => return Err(JsonError::Syntax),
                },
            };
        }
    }

    fn step(&mut self, want: Want) -> Want {
        self.at += 1;
        want
    }

    fn value(&mut self, byte: u8) -> Result<Want, JsonError> {
        if self.stack.last() == Some(&Frame::Array { root: true }) {
            let start = self.position();
            self.elements.push(start..start);
        }
        match byte {
            b'{' => return self.open(Frame::Object(self.level_of_new_object()), Want::KeyOrEnd),
            b'[' => return self.open(Frame::Array { root: self.stack.is_empty() }, Want::ValueOrEnd),
            b'"' => {
                self.string()?;
            }
            b't' => self.literal(b"true")?,
            b'f' => self.literal(b"false")?,
            b'n' => self.literal(b"null")?,
            _ => self.number()?,
        }
        Ok(self.value_ended())
    }

    fn open(&mut self, frame: Frame, want: Want) -> Result<Want, JsonError> {
        if self.stack.len() >= self.depth {
            return Err(JsonError::Depth);
        }
        self.stack.push(frame);
        Ok(self.step(want))
    }

    fn close(&mut self) -> Result<Want, JsonError> {
        self.stack.pop().ok_or(JsonError::Syntax)?;
        self.at += 1;
        Ok(self.value_ended())
    }

    fn value_ended(&mut self) -> Want {
        let end = self.position();
        match self.stack.last() {
            None => return Want::Nothing,
            Some(Frame::Object(Some(level))) => {
                if let Some(member) = self.members.get_mut(self.open[*level as usize]) {
                    member.value.end = end;
                }
            }
            Some(Frame::Array { root: true }) => {
                if let Some(element) = self.elements.last_mut() {
                    element.end = end;
                }
            }
            Some(Frame::Object(None) | Frame::Array { root: false }) => {}
        }
        Want::CommaOrEnd
    }

    fn level_of_new_object(&self) -> Option<Level> {
        let is_named = |level: Level, name: &[u8]| {
            let member = self.members.get(self.open[level as usize])?;
            let key = &self.out_or_pending(member.key.clone());
            let named = if member.escaped {
                serde_json::from_slice::<String>(key).is_ok_and(|key| key.as_bytes() == name)
            } else {
                key.get(1..key.len() - 1) == Some(name)
            };
            named.then_some(())
        };
        match self.stack.last() {
            None => Some(Level::Top),
            Some(Frame::Object(Some(Level::Top))) => is_named(Level::Top, b"params").map(|()| Level::Params),
            Some(Frame::Object(Some(Level::Params))) => {
                is_named(Level::Params, b"_meta").map(|()| Level::Meta)
            }
            Some(_) => None,
        }
    }

    /// Bytes of the output of which the tail may not be copied yet.
    fn out_or_pending(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        let copied = self.out.len();
        if range.end <= copied {
            return Cow::Borrowed(&self.out[range]);
        }
        if range.start >= copied {
            let offset = self.run;
            return Cow::Borrowed(&self.input[range.start - copied + offset..range.end - copied + offset]);
        }
        let mut joined = self.out[range.start..].to_vec();
        joined.extend_from_slice(&self.input[self.run..self.run + (range.end - copied)]);
        Cow::Owned(joined)
    }

    fn key(&mut self) -> Result<Want, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(JsonError::Syntax);
        }
        let start = self.position();
        let escaped = self.string()?;
        let end = self.position();
        self.skip_whitespace();
        if self.peek() != Some(b':') {
            return Err(JsonError::Syntax);
        }
        self.at += 1;
        self.skip_whitespace();
        if let Some(Frame::Object(Some(level))) = self.stack.last().copied() {
            let value = self.position();
            self.open[level as usize] = self.members.len();
            self.members.push(Member { level, key: start..end, value: value..value, escaped });
        }
        Ok(Want::Value)
    }

    /// Passes a string; whether its output holds escapes.
    fn string(&mut self) -> Result<bool, JsonError> {
        self.at += 1;
        let mut escaped = false;
        loop {
            let rest = &self.input[self.at..];
            let plain = first_special(rest).ok_or(JsonError::Syntax)?;
            self.at += plain;
            match &rest[plain..] {
                [b'"', ..] => {
                    self.at += 1;
                    return Ok(escaped);
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => {
                    escaped = true;
                    self.at += 2;
                }
                [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => {
                    escaped = true;
                    self.at += 6;
                }
                [0xC2, 0x85, ..] => escaped = self.escape(2, b"\\u0085"),
                [0xE2, 0x80, 0xA8, ..] => escaped = self.escape(3, b"\\u2028"),
                [0xE2, 0x80, 0xA9, ..] => escaped = self.escape(3, b"\\u2029"),
                [0xC2 | 0xE2, ..] => self.at += 1,
                _ => return Err(JsonError::Syntax),
            }
        }
    }

    fn escape(&mut self, length: usize, replacement: &[u8]) -> bool {
        self.flush();
        self.out.extend_from_slice(replacement);
        self.at += length;
        self.run = self.at;
        true
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if !self.input[self.at..].starts_with(word) {
            return Err(JsonError::Syntax);
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(JsonError::Syntax) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }
}

/// Where the first byte is that a string's fast path stops at. Whole chunks are judged without a branch for each
/// byte, which the compiler turns into vector instructions: payloads are mostly long plain strings.
fn first_special(bytes: &[u8]) -> Option<usize> {
    const CHUNK: usize = 32;
    let is_plain = |chunk: &&[u8]| {
        let found = chunk.iter().fold(false, |found, &byte| {
            found | (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte == 0xC2) | (byte == 0xE2)
        });
        !found
    };
    let passed = bytes.chunks_exact(CHUNK).take_while(is_plain).count() * CHUNK;
    let rest = bytes[passed..].iter().position(|byte| SPECIAL[*byte as usize])?;
    Some(passed + rest)
}

/// Bytes that a string's fast path stops at.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 0x20 {
        table[at] = true;
        at += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[0xC2] = true;
    table[0xE2] = true;
    table
};

#[cfg(test)]
mod tests;
