//! Remembers which plugins are loaded in this process, and which calls they have not answered yet.
//!
//! `last_words` reports them when a plugin ends the process, perhaps in a signal handler. So reading takes no lock and
//! allocates no memory.
#![expect(unsafe_code, reason = "what a signal handler reads is behind a pointer: see the block")]
use std::{
    ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicPtr, Ordering},
    },
};

/// At most this many calls are remembered at a time; further ones are not reported.
const MAX_CALLS: usize = 128;
/// At most this many libraries are remembered.
const MAX_LIBRARIES: usize = 32;

/// A call of a library. There is one value for each kind of call, which lives as long as the process, as the library does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The library's file.
    pub(crate) library: String,
    /// The runtime's name; empty for a call of the library as a whole.
    pub(crate) runtime: String,
    /// The operation.
    pub(crate) operation: &'static str,
}

type Place = AtomicPtr<Asked>;

static CALLS: [Place; MAX_CALLS] = [const { AtomicPtr::new(ptr::null_mut()) }; MAX_CALLS];
static LOADED: [Place; MAX_LIBRARIES] = [const { AtomicPtr::new(ptr::null_mut()) }; MAX_LIBRARIES];
static KNOWN: Mutex<Vec<&'static Asked>> = Mutex::new(Vec::new());

/// A call under way; dropping this ends it.
pub(crate) struct Call(Option<&'static Place>);

/// Remembers a call until the returned value is dropped.
pub(crate) fn begin(library: &str, runtime: &str, operation: &'static str) -> Call {
    Call(put(&CALLS, the_one(library, runtime, operation)))
}

/// Remembers that code of this library may run in this process from now on.
pub(crate) fn remember(library: &str) {
    let asked = the_one(library, "", "");
    // Another version of the file may have been loaded before; it has the same name.
    if !LOADED.iter().filter_map(read).any(|known| ptr::eq(known, asked)) {
        put(&LOADED, asked);
    }
}

fn put(places: &'static [Place], asked: &'static Asked) -> Option<&'static Place> {
    let asked = ptr::from_ref(asked).cast_mut();
    places.iter().find(|place| {
        place.compare_exchange(ptr::null_mut(), asked, Ordering::Release, Ordering::Relaxed).is_ok()
    })
}

fn the_one(library: &str, runtime: &str, operation: &'static str) -> &'static Asked {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_it = |it: &&Asked| it.operation == operation && it.runtime == runtime && it.library == library;
    if let Some(found) = known.iter().copied().find(is_it) {
        return found;
    }
    let new = Asked { library: library.to_owned(), runtime: runtime.to_owned(), operation };
    let new: &'static Asked = Box::leak(Box::new(new));
    known.push(new);
    new
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            place.store(ptr::null_mut(), Ordering::Release);
        }
    }
}

/// The calls under way. Also for signal handlers.
pub(crate) fn under_way() -> impl Iterator<Item = &'static Asked> {
    CALLS.iter().filter_map(read)
}

/// The loaded libraries. Also for signal handlers.
pub(crate) fn loaded() -> impl Iterator<Item = &'static Asked> {
    LOADED.iter().filter_map(read)
}

fn read(place: &Place) -> Option<&'static Asked> {
    // SAFETY: the pointer is null, or was made from a reference that lives as long as the process (`put`).
    unsafe { place.load(Ordering::Acquire).as_ref() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_until_it_is_over() {
        let mine = || under_way().filter(|asked| asked.library == "/of/this/test.so").count();
        let first = begin("/of/this/test.so", "a", "inspect");
        let second = begin("/of/this/test.so", "a", "inspect");
        assert_eq!(mine(), 2);
        drop(first);
        assert_eq!(mine(), 1);
        drop(second);
        assert_eq!(mine(), 0);
    }

    #[test]
    fn calls_beyond_what_is_remembered_are_made_all_the_same() {
        let calls: Vec<Call> = (0..2 * MAX_CALLS).map(|_| begin("/many.so", "a", "list")).collect();
        assert!(under_way().count() <= MAX_CALLS);
        drop(calls);
        assert_eq!(under_way().filter(|asked| asked.library == "/many.so").count(), 0);
    }
}
