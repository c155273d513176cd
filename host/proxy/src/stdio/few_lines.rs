//! [`FewLines`]: counts what a server or a client can do a million times, so that the log gets few lines of it: all of them would
//! push the others out of the log.
use std::time::Duration;

use tokio::time::Instant;

/// The time for which [`MOST_LINES`] are told.
const INTERVAL: Duration = Duration::from_secs(60);

/// The lines of one interval that the log has.
const MOST_LINES: u32 = 5;

/// The lines of one kind in the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct FewLines {
    began: Option<Instant>,
    told: u32,
    /// Such events since the last line, which got no line of their own.
    not_logged: u64,
}

impl FewLines {
    /// Counts one. `Some` if the log gets it, with the number of those before it that the log did not get.
    pub(crate) fn note(&mut self, now: Instant) -> Option<u64> {
        if self.began.is_none_or(|began| began + INTERVAL <= now) {
            (self.began, self.told) = (Some(now), 0);
        }
        if self.told == MOST_LINES {
            self.not_logged += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.not_logged))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::{FewLines, INTERVAL};

    #[test]
    fn a_minute_has_five_lines_and_the_next_one_tells_how_many_were_left_out() {
        let (mut lines, start) = (FewLines::default(), Instant::now());
        let told = (0..1000).filter(|_| lines.note(start).is_some()).count();
        assert_eq!(told, 5);
        assert_eq!(lines.note(start + INTERVAL), Some(995));
        assert_eq!(lines.note(start + INTERVAL), Some(0));
    }
}
