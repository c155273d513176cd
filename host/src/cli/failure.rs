//! [`Outcome`]: the end of a command: an exit code, or a failure that `main` reports.
use std::io;
use wharf_model::{Error, ErrorKind};

/// The result of a command: its exit code, or the failure.
pub(super) type Outcome = Result<u8, Failure>;

/// The exit code of a command that succeeded.
pub(super) const DONE: u8 = 0;

/// The failure of a command.
#[derive(Debug)]
pub(super) enum Failure {
    /// The work failed.
    Command(Error),
    /// The output could not be written.
    Output(io::Error),
    /// The work succeeded and changed something, but the result could not be written.
    Untold {
        /// The change, in words.
        done: String,
        /// The error of the output.
        error: io::Error,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Command(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// The error to report; none if the reader of the output went away.
    pub(super) fn reported(self) -> Option<Error> {
        match self {
            Self::Command(error) => Some(error),
            Self::Output(error) | Self::Untold { error, .. } if error.kind() == io::ErrorKind::BrokenPipe => {
                None
            }
            Self::Output(error) => Some(unwritten(&error)),
            Self::Untold { done, error } => Some(unwritten(&error).hint(format!("it was done: {done}"))),
        }
    }

    /// For the output of a command that has changed something: the error names the change.
    pub(super) fn untold(done: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Untold { done: done.into(), error }
    }
}

fn unwritten(error: &io::Error) -> Error {
    Error::caused(ErrorKind::Failed, "the output cannot be written", error)
}

/// Like [`ended`], for a command that has changed something: `done` says what.
pub(super) fn ended_having(code: u8, printed: io::Result<()>, done: impl FnOnce() -> String) -> Outcome {
    if code == DONE {
        printed.map(|()| DONE).map_err(|error| Failure::untold(done())(error))
    } else {
        Ok(code)
    }
}

/// The end of a command whose work led to this exit code. A failure of the work comes before a failure of the output.
pub(super) fn ended(code: u8, printed: io::Result<()>) -> Outcome {
    if code == DONE { Ok(printed.map(|()| DONE)?) } else { Ok(code) }
}

/// The severity of a kind of failure, for one exit code that must stand for several. Failures whose effect is unknown come
/// first; those in which nothing happened come last.
pub(super) const fn severity(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Deadline => 7,
        ErrorKind::Runtime => 6,
        ErrorKind::Owner => 5,
        ErrorKind::Failed => 4,
        ErrorKind::Conflict => 3,
        ErrorKind::NotFound => 2,
        ErrorKind::Usage => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_not_reported() {
        assert!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).reported().is_none());
        assert!(Failure::from(io::Error::from(io::ErrorKind::StorageFull)).reported().is_some());
    }

    #[test]
    fn a_failure_keeps_its_exit_code_where_its_output_cannot_be_written() {
        for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::StorageFull] {
            assert_eq!(ended(7, Err(kind.into())).unwrap(), 7);
            assert!(matches!(ended(DONE, Err(kind.into())), Err(Failure::Output(_))));
        }
        assert_eq!(ended(DONE, Ok(())).unwrap(), DONE);
    }

    #[test]
    fn no_two_kinds_are_equally_grave() {
        let mut gravities = ErrorKind::ALL.map(severity);
        gravities.sort_unstable();
        assert_eq!(gravities, [1, 2, 3, 4, 5, 6, 7]);
    }
}
