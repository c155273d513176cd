//! [`RestartPolicy`] and [`Backoff`]: whether and when a workload that ended is started again; pure. The supervisor and the
//! plan of `reconcile` use it.
use serde::{Deserialize, Serialize};
use std::time::Duration;
use wharf_sdk::Exit;

/// The pause before the first restart.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A workload that ran so long counts as steady: the next pause is the first one again.
const STEADY_AFTER: Duration = Duration::from_secs(30);
/// After this many starts in a row that did not become steady, the supervisor gives up.
const MAX_ATTEMPTS: u32 = 10;

/// When the supervisor starts a workload again that ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    No,
    /// After a fault.
    OnFailure,
    /// Whenever it ends.
    Always,
    /// The same as `always`, by the name that Docker's users expect: a stop ends restarts under every policy.
    #[default]
    UnlessStopped,
}

/// Counts the restarts in a row, and gives the pause before each.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// For a workload that has not ended yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { attempts: 0 }
    }

    /// Reports how long the workload ran before it ended. Called once for each end, not for each attempt to bring it back.
    pub fn ended(&mut self, ran_for: Duration) {
        if ran_for >= STEADY_AFTER {
            self.attempts = 0;
        }
    }

    /// The pause before the next start. None: the attempts are used up.
    pub fn next_pause(&mut self) -> Option<Duration> {
        if self.attempts >= MAX_ATTEMPTS {
            return None;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.attempts.min(16)).min(LONGEST_PAUSE);
        self.attempts += 1;
        Some(pause)
    }

    /// Takes back the last attempt: the engine was away, so nothing was tried.
    pub fn give_back(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
    }
}

/// True if the policy wants the workload back after this exit.
pub fn wants_restart(policy: RestartPolicy, exit: &Exit) -> bool {
    policy.restarts_after(exit.code == Some(0))
}

impl RestartPolicy {
    /// True if the policy wants a workload back that ended with exit code 0 (`succeeded`), or in any other way.
    #[must_use]
    pub const fn restarts_after(self, succeeded: bool) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure => !succeeded,
            Self::Always | Self::UnlessStopped => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_attempts_end() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = std::iter::from_fn(|| backoff.next_pause()).collect();
        assert_eq!(pauses.len(), MAX_ATTEMPTS as usize);
        assert_eq!(pauses[0], FIRST_PAUSE);
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
    }

    #[test]
    fn a_run_that_lasted_long_enough_resets_the_pauses() {
        let mut backoff = Backoff::default();
        while backoff.next_pause().is_some() {}
        backoff.ended(Duration::ZERO);
        assert_eq!(backoff.next_pause(), None);
        backoff.ended(STEADY_AFTER);
        assert_eq!(backoff.next_pause(), Some(FIRST_PAUSE));
    }

    #[test]
    fn an_attempt_that_is_given_back_is_not_counted() {
        let mut backoff = Backoff::default();
        for _ in 0..2 * MAX_ATTEMPTS {
            assert_eq!(backoff.next_pause(), Some(FIRST_PAUSE));
            backoff.give_back();
        }
    }

    #[test]
    fn each_restart_policy_decides_by_the_exit() {
        let (fine, failed) =
            (Exit { code: Some(0), ..Exit::default() }, Exit { code: Some(1), ..Exit::default() });
        let wanted = |policy| (wants_restart(policy, &fine), wants_restart(policy, &failed));
        assert_eq!(wanted(RestartPolicy::No), (false, false));
        assert_eq!(wanted(RestartPolicy::OnFailure), (false, true));
        assert_eq!(wanted(RestartPolicy::Always), (true, true));
        assert_eq!(wanted(RestartPolicy::UnlessStopped), (true, true));
    }
}
