//! The error that a command fails with: its kind, what failed and why, and what to do next.
//!
//! Commands return it, supervisors send it to the command that waits for them. Packages that have errors of their own
//! say beside these how they are classified (`From<StoreError> for Error` and the like). A front end prints [`Error`]
//! once and exits with its kind's code.
use crate::advice::Advice;
use crate::workload_name::NameError;
use serde::{Deserialize, Serialize};

/// The kind of a failure; the exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// A failure without a kind of its own.
    Failed,
    /// The request itself is wrong.
    Usage,
    /// There is no such workload.
    NotFound,
    /// The request conflicts with something that exists: a name, a port, another command.
    Conflict,
    /// The owning runtime is missing, unavailable, or another instance.
    Owner,
    /// The runtime refused, or the workload failed.
    Runtime,
    /// A deadline passed, or the outcome is unknown.
    Deadline,
}

impl ErrorKind {
    /// All kinds, for documentation and tests.
    pub const ALL: [Self; 7] = [
        Self::Failed,
        Self::Usage,
        Self::NotFound,
        Self::Conflict,
        Self::Owner,
        Self::Runtime,
        Self::Deadline,
    ];

    /// The exit code of the command line.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Owner => 5,
            Self::Runtime => 6,
            Self::Deadline => 7,
        }
    }

    /// The meaning of the exit code, for the help.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "wrong usage",
            Self::NotFound => "no such workload",
            Self::Conflict => "in conflict with something that exists (a name, a port, another command)",
            Self::Owner => "the owning runtime is missing, unavailable, or another instance",
            Self::Runtime => "the runtime refused, or the workload failed",
            Self::Deadline => "a deadline passed, or the outcome is not known",
        }
    }
}

/// A failure of a command: the failure, its cause, and the next steps. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[error("{message}")]
pub struct Error {
    /// The kind.
    pub kind: ErrorKind,
    /// The failure and its cause, complete, in one line.
    pub message: String,
    /// The next steps; a front end puts them in its own terms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
}

/// The result of a command.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), advice: Vec::new() }
    }

    /// An error of a package as the error of a command, with the whole chain of causes. Every error of the system becomes
    /// one here; so what to do about a disk that takes nothing is told whichever write failed.
    pub fn from_cause(kind: ErrorKind, cause: &(dyn std::error::Error + 'static)) -> Self {
        let shown = Self::new(kind, chain(cause));
        match about_the_disk(cause) {
            Some(advice) => shown.hint(advice),
            None => shown,
        }
    }

    /// A failed action and its cause, with the whole chain of causes.
    pub fn caused(
        kind: ErrorKind,
        doing: impl std::fmt::Display,
        cause: &(dyn std::error::Error + 'static),
    ) -> Self {
        Self::from_cause(kind, cause).while_doing(doing)
    }

    /// Adds a next step.
    #[must_use]
    pub fn advise(mut self, advice: Advice) -> Self {
        self.advice.push(advice);
        self
    }

    /// Adds a next step in words that make sense in every front end: no command, no option.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        self.advise(Advice::note(hint))
    }

    /// Puts the action that failed in front of the message.
    #[must_use]
    pub fn while_doing(mut self, doing: impl std::fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// The advice on a full or read-only disk, if that is among the causes.
fn about_the_disk(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        let advice = error.downcast_ref::<std::io::Error>().and_then(wharf_sdk::disk_advice);
        if advice.is_some() {
            return advice;
        }
        next = error.source();
    }
    None
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::from_cause(ErrorKind::Usage, &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_that_are_documented() {
        assert_eq!(ErrorKind::ALL.map(ErrorKind::exit_code), [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn the_chain_is_told_once_and_whole() {
        let cause = std::io::Error::other("disk full");
        let error = Error::caused(ErrorKind::Failed, "cannot save", &cause).hint("make room");
        assert_eq!(error.to_string(), "cannot save: disk full");
        assert_eq!(error.advice, [Advice::note("make room")]);
    }

    #[test]
    fn what_to_do_about_a_disk_that_takes_nothing_is_told_whatever_is_around_the_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot write x")]
        struct Around {
            source: std::io::Error,
        }
        let hints = |kind: std::io::ErrorKind| {
            let bare = std::io::Error::from(kind);
            let around = Around { source: kind.into() };
            let wrapped = std::io::Error::other(Around { source: kind.into() });
            let causes: [&(dyn std::error::Error + 'static); 3] = [&bare, &around, &wrapped];
            let errors = causes.map(|cause| Error::caused(ErrorKind::Failed, "cannot save", cause));
            assert!(errors.iter().all(|error| error.advice == errors[0].advice), "{errors:?}");
            errors[0].advice.clone()
        };
        let full = hints(std::io::ErrorKind::StorageFull);
        let [Advice::Note { text }] = &full[..] else { panic!("one hint") };
        assert!(text.starts_with("make room on that disk"), "{text}");
        assert_eq!(hints(std::io::ErrorKind::QuotaExceeded).len(), 1);
        assert_eq!(hints(std::io::ErrorKind::ReadOnlyFilesystem).len(), 1);
        assert!(hints(std::io::ErrorKind::PermissionDenied).is_empty());
    }
}
