//! [`Pauses`]: how long a supervisor waits before the next attempt to restart its workload, and when it gives up. Part of
//! the machine's state.
use std::time::Duration;
use wharf_model::Backoff;

/// The longest pause before an absent engine is asked again. It is short: asking costs the engine nothing, and users wait
/// for it.
pub(crate) const LONGEST_ABSENCE: Duration = Duration::from_secs(5);
/// Half of the first such pause.
const HALF_OF_FIRST: Duration = Duration::from_secs(1);

/// Pauses and attempts of one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pauses {
    backoff: Backoff,
    /// The last pause for an engine that was away.
    absence: Duration,
    is_away: bool,
}

impl Default for Pauses {
    fn default() -> Self {
        Self::new()
    }
}

impl Pauses {
    /// For a workload that has not ended yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { backoff: Backoff::new(), absence: HALF_OF_FIRST, is_away: false }
    }

    /// For a workload that has used up its attempts.
    #[must_use]
    pub fn used_up() -> Self {
        let mut pauses = Self::new();
        while pauses.next_pause().is_some() {}
        pauses
    }

    /// Reports how long the workload ran before it ended. Called once for each end, not for each attempt to bring it back.
    pub fn ended(&mut self, ran_for: Duration) {
        self.backoff.ended(ran_for);
        (self.absence, self.is_away) = (HALF_OF_FIRST, false);
    }

    /// Reports that an attempt failed. If the engine is away, the attempt does not count.
    pub fn failed(&mut self, is_away: bool) {
        if is_away && !self.is_away {
            self.backoff.give_back();
        }
        self.is_away = is_away;
    }

    /// A command interrupted the attempt, or came before it: it does not count.
    pub fn interrupted(&mut self) {
        if !self.is_away {
            self.backoff.give_back();
        }
    }

    /// The pause before the next attempt. None: the attempts are used up.
    pub fn next_pause(&mut self) -> Option<Duration> {
        if !self.is_away {
            return self.backoff.next_pause();
        }
        self.absence = (self.absence * 2).min(LONGEST_ABSENCE);
        Some(self.absence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_is_away_uses_up_no_attempt_and_is_asked_at_growing_intervals() {
        let mut pauses = Pauses::new();
        pauses.ended(Duration::ZERO);
        let first = pauses.next_pause();
        pauses.failed(true);
        let away: Vec<_> = std::iter::repeat_with(|| {
            let pause = pauses.next_pause().unwrap().as_secs();
            pauses.failed(true);
            pause
        })
        .take(100)
        .collect();
        assert_eq!(away[..4], [2, 4, 5, 5]);
        assert_eq!(away.last(), Some(&5));
        pauses.failed(false);
        assert_eq!(pauses.next_pause(), first, "the attempt that met no engine was given back");
    }

    #[test]
    fn attempts_that_fail_while_the_engine_is_there_are_used_up() {
        let mut pauses = Pauses::new();
        pauses.ended(Duration::ZERO);
        let attempts = std::iter::repeat_with(|| {
            pauses.failed(false);
            pauses.next_pause()
        })
        .take_while(Option::is_some)
        .take(1000);
        assert_eq!(attempts.count(), 10);
        assert_eq!(Pauses::used_up().next_pause(), None);
    }
}
