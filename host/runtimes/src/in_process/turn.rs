//! Whose turn it is to be mapped.
//!
//! The dynamic linker maps one library at a time: while a constructor does not return, every other library waits. With
//! a turn taken before, the one that is at fault has a name.
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

static TURN: Mutex<()> = Mutex::new(());
static WHOSE: Mutex<Option<PathBuf>> = Mutex::new(None);

/// A library's turn; over when it is dropped.
pub(crate) struct Turn {
    _taken: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits for this library's turn, and takes it.
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

/// The library that is being mapped just now.
pub(crate) fn whose() -> Option<PathBuf> {
    WHOSE.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
