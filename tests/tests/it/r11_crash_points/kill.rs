//! Who is to die where.
use super::act::Act;
use super::lab::Kind;
use std::fmt;

/// A process that kills itself at a point.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kill {
    /// What it is: command, supervisor, launcher or stage.
    pub(super) role: String,
    pub(super) point: String,
    pub(super) nth: u32,
    /// It is a process that was there before the command began.
    pub(super) was_there: bool,
}

impl Kill {
    /// As the environment says it.
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
