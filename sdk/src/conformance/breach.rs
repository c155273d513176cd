//! [`Breach`]: the failure of a step of a case, with the reason why the runtime breaks the case's sentence.

/// The outcome of a check: a value, or why the runtime breaks the case's sentence.
pub(super) type Checked<T = ()> = Result<T, Breach>;

/// The reason why the runtime breaks the case's sentence.
#[derive(Debug)]
pub(super) struct Breach(pub(super) String);

/// Fails a case unless this is true.
pub(super) fn ensure(is_so: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if is_so { Ok(()) } else { Err(Breach(otherwise())) }
}
