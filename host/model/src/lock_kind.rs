//! [`LockKind`]: the three locks of a workload, as they are named in errors and in questions about who holds one.

use std::fmt;

/// Which lock of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// One command.
    Operation,
    /// One read-modify-write.
    Record,
    /// A supervisor's life.
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
