//! Splits a log into lines, and removes the time that the launcher puts before each unless it is wanted.

/// `2026-01-02T03:04:05.678Z `, always of this length.
const STAMP_BYTES: usize = 25;
/// The launcher writes no longer line (64 KiB and the time); a longer one is passed on in pieces.
const MAX_LINE_BYTES: usize = 80 * 1024;

/// Takes pieces of a log's text and returns the wanted lines, without the time or with it.
pub(super) struct Lines {
    /// Only lines of this time or later are wanted. It is written as the launcher writes times.
    since: Option<String>,
    /// Whether the times stay.
    timestamps: bool,
    partial: Vec<u8>,
    /// Whether the last line with a time was wanted; lines without a time follow it.
    wanted: bool,
}

impl Lines {
    pub(super) fn new(since_ms: Option<u64>, timestamps: bool) -> Self {
        let since = since_ms.map(stamp);
        Self { wanted: since.is_none(), since, timestamps, partial: Vec::new() }
    }

    /// The wanted lines that this piece completes.
    pub(super) fn take(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut output = Vec::with_capacity(piece.len());
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") || self.partial.len() > MAX_LINE_BYTES {
                let line = std::mem::take(&mut self.partial);
                self.line(&line, &mut output);
            }
        }
        output
    }

    /// The unfinished line at the end of a file that nobody writes any more.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        let line = std::mem::take(&mut self.partial);
        if !line.is_empty() {
            self.line(&line, &mut output);
        }
        output
    }

    fn line(&mut self, line: &[u8], output: &mut Vec<u8>) {
        let text = match line.split_at_checked(STAMP_BYTES) {
            Some((stamp, text)) if is_stamp(stamp) => {
                // Times are in UTC and have one length, so they compare as text.
                if let Some(since) = &self.since {
                    self.wanted = stamp >= since.as_bytes();
                }
                if self.timestamps { line } else { text }
            }
            _ => line,
        };
        if self.wanted {
            output.extend_from_slice(text);
        }
    }
}

fn is_stamp(bytes: &[u8]) -> bool {
    bytes.iter().zip(b"0000-00-00T00:00:00.000Z ").all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    })
}

/// A time in the launcher's form.
fn stamp(ms: u64) -> String {
    // At most the last time with a year of four digits. No line is later.
    let ms = ms.min(253_402_300_799_999);
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (seconds, milliseconds) = (in_day / 1_000, in_day % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z ")
}

/// Year, month and day of a number of days after 1970-01-01, in the Gregorian calendar. It counts cycles of 400 years, and
/// years that begin in March, so that the leap day is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468; // days from 0000-03-01 to 1970-01-01
    let (cycle, in_cycle) = (shifted / 146_097, shifted % 146_097);
    let year_in_cycle = (in_cycle - in_cycle / 1_460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let in_year = in_cycle - (365 * year_in_cycle + year_in_cycle / 4 - year_in_cycle / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (cycle * 400 + year_in_cycle + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_launcher_writes_them() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z "),
            (951_782_400_000, "2000-02-29T00:00:00.000Z "),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z "),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z "),
            (1_767_323_045_678, "2026-01-02T03:04:05.678Z "),
            (u64::MAX, "9999-12-31T23:59:59.999Z "),
        ] {
            assert_eq!(stamp(ms), expected);
            assert!(is_stamp(expected.as_bytes()));
        }
    }

    #[test]
    fn lines_before_the_time_are_left_out_with_what_belongs_to_them() {
        let text = "2026-01-02T03:04:05.677Z old\nof old\n2026-01-02T03:04:05.678Z new\nof new\n";
        let mut lines = Lines::new(Some(1_767_323_045_678), false);
        let mut output = Vec::new();
        for piece in text.as_bytes().chunks(7) {
            output.extend(lines.take(piece));
        }
        assert_eq!(String::from_utf8(output).unwrap(), "new\nof new\n");
    }

    #[test]
    fn a_line_without_end_is_passed_on_in_pieces() {
        let mut lines = Lines::new(None, false);
        let mut total = 0;
        for _ in 0..100 {
            total += lines.take(&[b'x'; 4096]).len();
            assert!(lines.partial.len() <= MAX_LINE_BYTES);
        }
        assert_eq!(total + lines.rest().len(), 100 * 4096);
    }
}
