//! Runs a fuzz target within an ordinary test: on every file of its committed corpus, then on random changes of them for a
//! moment.
//!
//! Called by the unit tests of each package that has a parser of foreign bytes (`fuzzing.rs` there). cargo-fuzz runs the
//! same functions without a limit of time (`fuzz/README.md`). This package knows no parser.
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The time that one target's changed inputs take in a test.
const MOMENT: Duration = Duration::from_millis(300);
/// The longest input that changes may make of a short one.
const INPUT_BYTES_MAX: usize = 64 * 1024;
/// The first state of the generator: every run of the test makes the same changes in the same order.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Pieces that parsers of text, JSON and names take for something special.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\\u0000",
    b"\\ud83d",
    b"\0",
    b"\n",
    b"\r\n",
    b"\xff",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"/",
    b"..",
    b"@",
    b"//",
    b" ",
    b"%2e",
];

/// Runs the target on its corpus and on changes of it. A panic of the target is the failure; the input that led to it
/// is printed first, as a Rust byte string.
///
/// # Panics
/// If the corpus is missing or empty, or if the target panics.
pub fn replay(target: &str, run: fn(&[u8])) {
    let inputs = corpus(target);
    for input in &inputs {
        run_told(target, run, input);
    }
    let mut random = Random(SEED);
    let end = Instant::now() + MOMENT;
    while Instant::now() < end {
        let input = random.changed(&inputs);
        run_told(target, run, &input);
    }
}

/// Prints the input where the target panics.
fn run_told(target: &str, run: fn(&[u8]), input: &[u8]) {
    struct Told<'a>(&'a str, &'a [u8]);
    impl Drop for Told<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                #[expect(clippy::print_stderr, reason = "a test's word on its failure")]
                {
                    eprintln!("the fuzz target {} failed on b\"{}\"", self.0, self.1.escape_ascii());
                }
            }
        }
    }
    let _told = Told(target, input);
    run(input);
}

/// Every file of `fuzz/corpus/TARGET`, in the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry of the corpus").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| std::fs::read(path).expect("a file of the corpus")).collect()
}

/// A generator of changes (xorshift64*): no randomness is needed, only variety.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("a length fits");
        usize::try_from(self.next() % limit).expect("less than a length")
    }

    /// One of the inputs, changed in one to eight places.
    fn changed(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut input = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.below(8) {
            let at = self.below(input.len() + 1);
            let until = at + self.below(input.len() - at + 1);
            match self.below(6) {
                0 => drop(input.drain(at..until)),
                1 => input.truncate(at),
                2 => insert(&mut input, at, PIECES[self.below(PIECES.len())]),
                3 => {
                    let again = input[at..until].to_vec();
                    insert(&mut input, at, &again);
                }
                4 => {
                    let other = &inputs[self.below(inputs.len())];
                    let from = self.below(other.len() + 1);
                    insert(&mut input, at, &other[from..]);
                }
                _ if at < input.len() => input[at] = self.next().to_le_bytes()[0],
                _ => {}
            }
        }
        input
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if input.len() + piece.len() <= INPUT_BYTES_MAX {
        drop(input.splice(at..at, piece.iter().copied()));
    }
}

#[cfg(test)]
mod tests {
    use super::{Random, SEED};

    #[test]
    fn changes_differ_and_stay_within_bounds() {
        let inputs = vec![b"{\"a\":[1,2]}".to_vec(), Vec::new()];
        let mut random = Random(SEED);
        let changed: std::collections::BTreeSet<_> = (0..1000).map(|_| random.changed(&inputs)).collect();
        assert!(changed.len() > 500, "{}", changed.len());
        assert!(changed.iter().all(|input| input.len() <= super::INPUT_BYTES_MAX));
    }

    #[test]
    #[should_panic(expected = "found it")]
    fn mutations_of_the_corpus_find_a_fault_near_it() {
        super::replay("json_scan", |input| assert!(!input.windows(2).any(|two| two == b"]]"), "found it"));
    }
}
