//! Selects kills by the environment.
use super::kill::Scenario;
use super::random::Choices;
use std::env;

/// Only kills that contain this text, as a fault's line begins: `Process Restart launcher/started.reported:1`.
const ONLY_VARIABLE: &str = "WHARF_TEST_KILL_ONLY";
/// Each kill is tried so many times.
const TIMES_VARIABLE: &str = "WHARF_TEST_KILL_TIMES";
/// Only one of so many kills is tried.
const SHARE_VARIABLE: &str = "WHARF_TEST_KILL_SHARE";
/// The seed of the selection and of the order; it is printed where a test begins.
const SEED_VARIABLE: &str = "WHARF_TEST_KILL_SEED";

/// The selection.
pub(super) struct Selection {
    only: Option<String>,
    times: usize,
    share: usize,
    pub(super) seed: u64,
}

impl Selection {
    /// The selection by the environment.
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

    /// The selected kills of these.
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
