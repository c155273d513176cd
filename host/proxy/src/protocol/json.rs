//! One pass over a JSON text: checks its grammar without recursion, compacts it to one line, and notes where
//! the members of the message, of its `params` and of `params._meta` lie.
//!
//! Nothing is turned into values: payloads pass as the bytes they came as, and a text that is compact already is not
//! even copied. Invariants of the output: no byte
//! below 0x20, no whitespace outside strings, no U+0085, U+2028 or U+2029 (some readers of lines take them for
//! line ends), so that a message can be one line of stdin or one `data:` line whatever it holds.
use bytes::Bytes;

use crate::protocol::json::scanner::Scanner;

mod parts;
mod scanner;
mod strings;

pub(crate) use crate::protocol::json::parts::{JsonError, Level, Scan};

/// Scans a text. After an error, too, the scan is returned: everything in it is right.
pub(crate) fn scan(source: &Bytes, depth: usize) -> (Scan, Result<(), JsonError>) {
    match std::str::from_utf8(source) {
        Ok(_) => Scanner::new(source, depth).scan(source),
        Err(error) => {
            // The part before the bad byte may still have the id of the call that it answers.
            let (scan, _) = Scanner::new(&source[..error.valid_up_to()], depth).scan(source);
            (scan, Err(JsonError::Encoding))
        }
    }
}

#[cfg(test)]
mod tests;
