//! The process to kill, and the point.
use super::act::Act;
use super::lab::Kind;
use std::fmt;

/// A process that kills itself at a point.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kill {
    /// The kind of the process: command, supervisor, launcher or stage.
    pub(super) role: String,
    pub(super) point: String,
    pub(super) nth: u32,
    /// The process was there before the command began.
    pub(super) was_there: bool,
}

impl Kill {
    /// The kill, in the form of the environment variable.
    pub(super) fn variable(&self) -> String {
        format!("{}/{}:{}=kill", self.role, self.point, self.nth)
    }
}

/// One kill in one command on one runtime.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scenario {
    pub(super) kind: Kind,
    pub(super) act: Act,
    pub(super) kill: Kill,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = if self.kill.was_there { " (was there before)" } else { "" };
        write!(f, "{:?} {:?} {}{there}", self.kind, self.act, self.kill.variable())
    }
}
