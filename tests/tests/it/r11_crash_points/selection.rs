//! Which of the kills are tried, where the environment says that not all are wanted.
use super::kill::Scenario;
use super::random::Choices;
use std::env;

/// Only what holds this text, as a fault's line begins: `Process Restart launcher/started.reported:1`.
const ONLY_VARIABLE: &str = "WHARF_TEST_KILL_ONLY";
/// Each so many times.
const TIMES_VARIABLE: &str = "WHARF_TEST_KILL_TIMES";
/// One of so many.
const SHARE_VARIABLE: &str = "WHARF_TEST_KILL_SHARE";
/// What is chosen, and in which order it is tried; it is shown where a test begins.
const SEED_VARIABLE: &str = "WHARF_TEST_KILL_SEED";

/// What is wanted.
pub(super) struct Selection {
    only: Option<String>,
    times: usize,
    share: usize,
    pub(super) seed: u64,
}

impl Selection {
    /// What the environment says.
    pub(super) fn new() -> Self {
        let number = |variable| -> Option<u64> {
            let text = env::var(variable).ok()?;
            Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
        };
        let count = |variable| usize::try_from(number(variable).unwrap_or(1).max(1)).unwrap();
        Self {
            only: env::var(ONLY_VARIABLE).ok(),
            times: count(TIMES_VARIABLE),
            share: count(SHARE_VARIABLE),
            // A source of choices stays where it is at zero.
            seed: number(SEED_VARIABLE).unwrap_or_else(Choices::a_seed).max(1),
        }
    }

    /// Whether nothing is left out: then somebody is to be killed at every point.
    pub(super) fn is_all(&self) -> bool {
        self.only.is_none() && self.share == 1
    }

    /// What is wanted of these.
    pub(super) fn of(&self, mut all: Vec<Scenario>) -> Vec<Scenario> {
        if let Some(only) = &self.only {
            all.retain(|scenario| scenario.to_string().contains(only));
        }
        if self.share > 1 {
            Choices::from(self.seed).shuffle(&mut all);
            all.truncate(all.len().div_ceil(self.share));
            all.sort();
        }
        all.iter().flat_map(|scenario| std::iter::repeat_n(scenario.clone(), self.times)).collect()
    }
}
