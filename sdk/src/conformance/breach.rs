//! How a step of a case fails: with why the runtime does not do what the sentence says.

/// What a case finds: nothing, or why the runtime does not do what the sentence says.
pub(super) type Checked<T = ()> = Result<T, Breach>;

/// Why the runtime does not do what the sentence says.
#[derive(Debug)]
pub(super) struct Breach(pub(super) String);

/// Fails a case unless something is so.
pub(super) fn ensure(is_so: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if is_so { Ok(()) } else { Err(Breach(otherwise())) }
}
