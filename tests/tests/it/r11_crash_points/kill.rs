//! Who is to die where.
use super::act::Act;
use super::lab::Kind;

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

    /// Whether this line of a trace tells that the point was reached.
    pub(super) fn is_told_by(&self, line: &str) -> bool {
        let words: Vec<_> = line.split(' ').collect();
        words[0] == self.role && words[2] == self.point && words[3] == self.nth.to_string()
    }
}

/// One kill in one command on one runtime.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scenario {
    pub(super) kind: Kind,
    pub(super) act: Act,
    pub(super) kill: Kill,
}
