//! [`CallCounts`]: how many calls of plugins a process has made, by what came of them.
//!
//! Counted by each [`crate::RuntimeClient`] that the registry makes; read by whoever tells metrics. The runtimes are those of
//! libraries, so their number has a bound.
use crate::error::CallError;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallOutcome {
    /// It did what was asked.
    Done,
    /// The runtime answered with an error.
    Refused,
    /// There was no answer in time.
    Deadline,
    /// The plugin broke, or its answer made no sense.
    Broken,
}

impl CallOutcome {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Deadline => "deadline",
            Self::Broken => "broken",
        }
    }

    pub(crate) const fn of<T>(result: &Result<T, CallError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(CallError::Answered(_)) => Self::Refused,
            Err(CallError::Deadline { .. }) => Self::Deadline,
            Err(CallError::Malformed { .. } | CallError::Died { .. }) => Self::Broken,
        }
    }
}

/// By runtime, operation and outcome.
#[derive(Debug, Default)]
pub struct CallCounts(Mutex<BTreeMap<(String, &'static str, CallOutcome), u64>>);

impl CallCounts {
    pub(crate) fn count(&self, runtime: &str, operation: &'static str, outcome: CallOutcome) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((runtime.to_owned(), operation, outcome)).or_default() += 1;
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> BTreeMap<(String, &'static str, CallOutcome), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
