//! The fast path through strings, which make up most of a payload.

/// The position of the first byte at which the fast path stops. Whole chunks are checked without a branch for each byte,
/// which the compiler turns into vector instructions: payloads are mostly long plain strings.
pub(super) fn first_special(bytes: &[u8]) -> Option<usize> {
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
pub(super) const SPECIAL: [bool; 256] = {
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
