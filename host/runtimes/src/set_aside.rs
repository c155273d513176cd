//! [`SetAside`]: a runtime that has ended the process before, and is not asked by the way for a while.
//!
//! Made by a front end that starts again after such an end; read by [`crate::observe()`] before each question to a runtime
//! that nobody named. Calls of commands go to the owner all the same (R08). It must not know where the record of it is.
use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

/// A runtime that is not asked by the way.
#[derive(Clone, Debug)]
pub struct SetAside {
    /// Its name.
    pub runtime: String,
    /// Its library, and how that was when it ended the process: one that was changed may be a better one.
    pub library: (PathBuf, Option<LibraryStamp>),
    /// When it is asked as before.
    pub until: SystemTime,
    /// The reason, for the rows of its workloads.
    pub reason: String,
}

/// A file's size and the time of its last change, in nanoseconds.
pub type LibraryStamp = (u64, i64, i64);

/// The stamp of a library as it is now; none if it is not there.
pub fn library_stamp(library: &Path) -> Option<LibraryStamp> {
    let found = std::fs::metadata(library).ok()?;
    Some((found.len(), found.mtime(), found.mtime_nsec()))
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct AllSetAside(Mutex<Vec<SetAside>>);

impl AllSetAside {
    /// Sets one aside.
    pub(crate) fn add(&self, aside: SetAside) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(aside);
    }

    /// Asks a runtime as before: somebody has named it.
    pub(crate) fn lift(&self, runtime: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|aside| aside.runtime != runtime);
    }

    /// The reason why a runtime is not asked now.
    pub(crate) fn reason(&self, runtime: &str) -> Option<String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return None;
        }
        let now = SystemTime::now();
        all.retain(|aside| now < aside.until && library_stamp(&aside.library.0) == aside.library.1);
        all.iter().find(|aside| aside.runtime == runtime).map(|aside| aside.reason.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    #[test]
    fn a_runtime_is_set_aside_until_its_time_its_name_or_another_library() {
        let library = tempfile::NamedTempFile::new().unwrap();
        let path = library.path().to_owned();
        let aside = |seconds| SetAside {
            runtime: "x".to_owned(),
            library: (path.clone(), library_stamp(&path)),
            until: SystemTime::now() + Duration::from_secs(seconds),
            reason: "it ended wharf".to_owned(),
        };
        let all = AllSetAside::default();
        assert_eq!(all.reason("x"), None);
        all.add(aside(3600));
        assert_eq!((all.reason("x").as_deref(), all.reason("y")), (Some("it ended wharf"), None));
        all.lift("x");
        assert_eq!(all.reason("x"), None, "somebody asked for it");
        all.add(aside(0));
        assert_eq!(all.reason("x"), None, "its time is over");
        all.add(aside(3600));
        std::fs::File::options().append(true).open(&path).unwrap().write_all(b"better").unwrap();
        assert_eq!(all.reason("x"), None, "it is another library");
    }
}
