//! [`Turn`]: a lock around mapping, which knows the name of the library that is being mapped.
//!
//! The dynamic linker maps one library at a time: while a constructor does not return, every other library waits. This lock
//! is taken before, so that the error of a waiting library can name the one at fault.
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

static TURN: Mutex<()> = Mutex::new(());
static WHOSE: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The turn of a library; dropping it ends the turn.
pub(crate) struct Turn {
    _taken: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits until no other library is being mapped.
    pub(crate) fn take(path: &Path) -> Self {
        let taken = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        *WHOSE.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_owned());
        Self { _taken: taken }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *WHOSE.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The library that is being mapped now.
pub(crate) fn whose() -> Option<PathBuf> {
    WHOSE.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
