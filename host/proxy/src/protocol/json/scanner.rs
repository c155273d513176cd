//! The grammar of JSON, without recursion: checks a text, compacts it and notes the members that [`Scan`] is asked for.
use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::protocol::json::parts::{JsonError, Level, MOST_NOTED, Member, Scan};
use crate::protocol::json::strings::first_special;

/// An open container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Object(Option<Level>),
    Array { root: bool },
}

/// The next thing that the grammar wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    CommaOrEnd,
    Nothing,
}

pub(super) struct Scanner<'a> {
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

impl<'a> Scanner<'a> {
    pub(super) fn new(input: &'a [u8], depth: usize) -> Self {
        Self {
            input,
            at: 0,
            run: 0,
            out: Vec::new(),
            members: Vec::with_capacity(8),
            elements: Vec::new(),
            stack: Vec::with_capacity(16),
            open: [0; 3],
            depth,
        }
    }

    /// Scans the input, which is the beginning of `source` or all of it.
    pub(super) fn scan(mut self, source: &Bytes) -> (Scan, Result<(), JsonError>) {
        let result = self.text();
        let text = self.finish(source);
        (Scan { text, members: self.members, elements: self.elements }, result)
    }

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
            // Whitespace after the text is no gap in it.
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
            if self.elements.len() == MOST_NOTED {
                return Err(JsonError::Members);
            }
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
            if self.members.len() == MOST_NOTED {
                return Err(JsonError::Members);
            }
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
