//! [`LockKind`]: names the three locks of a workload, for errors and for questions about who holds one.

use std::fmt;

/// A lock of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// Held by one command from beginning to end.
    Operation,
    /// Held during one read-modify-write.
    Record,
    /// Held by a supervisor as long as it lives.
    Life,
}

impl fmt::Display for LockKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Operation => "operation",
            Self::Record => "record",
            Self::Life => "life",
        })
    }
}
