//! The runtimes that have ended what serves: on record, so that the next start does not make the same call at once, and a
//! plugin that aborts does not end the whole API again and again.
//!
//! Called when serving begins, before any library is loaded. A process that a plugin ends leaves the calls that were under
//! way in a file (`wharf_runtimes::keep_last_words_in`); the next one makes a record of them. A runtime of it is not asked by
//! the way for a while: its rows are stale, with the reason. Commands that name its workloads go to it (R08).
use crate::commands::Host;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use wharf_model::{Result, chain};
use wharf_records::OwnFiles;
use wharf_runtimes::{
    LibraryStamp, SetAside, WasUnderWay, keep_last_words_in, library_stamp, read_last_words,
};

/// The file that an end leaves.
const LAST_WORDS: &str = "last-words";
/// The record.
const RECORD: &str = "ended-by.json";
/// Larger files are none of ours.
const MAX_BYTES: usize = 64 * 1024;
/// More runtimes are not remembered.
const ENDS_MAX: usize = 32;
/// The first pause; each further one is twice as long,
const PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// up to this.
const PAUSE_MAX: SignedDuration = SignedDuration::from_hours(1);
/// Where several come into question they are asked again one after another, so that the next end tells more.
const ONE_AFTER_ANOTHER: SignedDuration = SignedDuration::from_secs(15);
/// An end that is so long ago does not count.
const COUNTS_FOR: SignedDuration = SignedDuration::from_hours(24);

/// A runtime that has ended what serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    runtime: String,
    library: PathBuf,
    /// How the library was then.
    stamp: Option<LibraryStamp>,
    /// In the middle of this.
    operation: String,
    /// When, for the last time.
    at: Timestamp,
    /// How many times.
    times: u32,
    /// Not before this is it asked by the way.
    until: Timestamp,
}

/// Reads what the last end has left, sets aside whom it concerns, and has the next end keep the same. `folder` is that of the
/// API. That nothing can be kept there is no obstacle.
pub(crate) fn learn_from_the_last_end(host: &Arc<Host>, folder: &Path) -> Result<()> {
    let files = OwnFiles::new(folder);
    let now = Timestamp::now();
    let before: Vec<End> = files
        .read(RECORD, MAX_BYTES)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let words = files.read(LAST_WORDS, MAX_BYTES).unwrap_or_default();
    let words = read_last_words(&String::from_utf8_lossy(&words));
    let ended_at = std::fs::metadata(folder.join(LAST_WORDS)).and_then(|file| file.modified());
    let ended_at = ended_at.ok().and_then(|at| Timestamp::try_from(at).ok()).unwrap_or(now).min(now);
    let context = host.context()?;
    let catalog = context.plugins().catalog();
    let provided: Vec<(String, PathBuf)> =
        catalog.runtimes().iter().map(|it| (it.runtime.name.clone(), it.library.path.clone())).collect();
    let is_new = !words.is_empty();
    let ends = with_the_last(before, by_runtime(words, &provided), ended_at, now);
    if is_new {
        let bytes = serde_json::to_vec(&ends).unwrap_or_default();
        if let Err(error) = files.replace(RECORD, &bytes, None) {
            tracing::warn!(error = %chain(&error), "what ended this before is not on record");
        }
    }
    for end in ends.iter().filter(|end| now < end.until) {
        tracing::warn!("{}", reason(end));
        host.set_aside(SetAside {
            runtime: end.runtime.clone(),
            library: (end.library.clone(), end.stamp),
            until: SystemTime::now() + end.until.duration_since(now).unsigned_abs(),
            reason: reason(end),
        });
    }
    // Only now: were this process ended before, the next one would read the same.
    match emptied(&folder.join(LAST_WORDS)) {
        Ok(file) => keep_last_words_in(file),
        Err(error) => tracing::warn!(%error, "a plugin that ends this will not be on record"),
    }
    Ok(())
}

fn emptied(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_len(0)?;
    Ok(file)
}

/// The calls by the runtimes that they concern: a call of a library as a whole is one of each of its runtimes.
fn by_runtime(words: Vec<WasUnderWay>, provided: &[(String, PathBuf)]) -> Vec<WasUnderWay> {
    let is_known = words.iter().any(|call| call.is_at_fault);
    let mut all: Vec<WasUnderWay> = Vec::new();
    for call in words.into_iter().filter(|call| call.is_at_fault || !is_known) {
        let whole =
            provided.iter().filter(|(_, library)| call.runtime.is_empty() && *library == call.library);
        let mut concerned: Vec<String> = whole.map(|(runtime, _)| runtime.clone()).collect();
        if !call.runtime.is_empty() {
            concerned.push(call.runtime.clone());
        }
        for runtime in concerned {
            if !all.iter().any(|known| known.runtime == runtime) {
                all.push(WasUnderWay { runtime, ..call.clone() });
            }
        }
    }
    all
}

/// The ends that count, with the last one, for which these come into question.
fn with_the_last(
    mut ends: Vec<End>,
    mut suspects: Vec<WasUnderWay>,
    at: Timestamp,
    now: Timestamp,
) -> Vec<End> {
    ends.retain(|end| now.duration_since(end.at) < COUNTS_FOR && library_stamp(&end.library) == end.stamp);
    let is_known = |suspect: &WasUnderWay| ends.iter().any(|end| end.runtime == suspect.runtime);
    // A runtime that has come into question before is more likely than its neighbours of the moment.
    if suspects.len() > 1 && suspects.iter().any(is_known) {
        suspects.retain(is_known);
    }
    for (nth, suspect) in suspects.into_iter().enumerate() {
        let known = ends.iter().position(|end| end.runtime == suspect.runtime);
        let times = known.map_or(0, |known| ends.remove(known).times).saturating_add(1);
        let pause = (PAUSE * 2i32.saturating_pow(times.min(16) - 1)).min(PAUSE_MAX);
        let until = at + pause + ONE_AFTER_ANOTHER * i32::try_from(nth).unwrap_or(i32::MAX);
        let WasUnderWay { runtime, library, operation, is_at_fault: _ } = suspect;
        let stamp = library_stamp(&library);
        ends.push(End { runtime, library, stamp, operation, at, times, until });
    }
    let too_many = ends.len().saturating_sub(ENDS_MAX);
    ends.drain(..too_many);
    ends
}

fn reason(end: &End) -> String {
    let End { runtime, library, operation, at, times, until, .. } = end;
    let times = if *times == 1 { String::new() } else { format!(", {times} times now") };
    format!(
        "the runtime '{runtime}' has ended what serves in the middle of '{operation}' ({at:.0}{times}); it is not asked before {until:.0}, unless \
         a request names one of its workloads, or {} changes",
        library.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(runtime: &str, is_at_fault: bool) -> WasUnderWay {
        WasUnderWay {
            runtime: runtime.to_owned(),
            library: PathBuf::from("/nowhere/lib.so"),
            operation: "list".to_owned(),
            is_at_fault,
        }
    }

    fn names(calls: &[WasUnderWay]) -> Vec<&str> {
        calls.iter().map(|call| call.runtime.as_str()).collect()
    }

    #[test]
    fn the_runtime_whose_thread_it_was_is_blamed_alone() {
        let all = by_runtime(vec![call("a", false), call("b", true), call("b", true)], &[]);
        assert_eq!(names(&all), ["b"]);
        let unknown = by_runtime(vec![call("a", false), call("b", false)], &[]);
        assert_eq!(names(&unknown), ["a", "b"]);
        let provided =
            [("x".to_owned(), PathBuf::from("/nowhere/lib.so")), ("y".to_owned(), "/other".into())];
        assert_eq!(names(&by_runtime(vec![call("", false)], &provided)), ["x"], "a call of the library");
    }

    #[test]
    fn each_end_makes_the_pause_longer_and_neighbours_of_the_moment_go_free() {
        let at = Timestamp::now();
        let after = |seconds| at + SignedDuration::from_secs(seconds);
        let first = with_the_last(Vec::new(), vec![call("a", false), call("b", false)], at, at);
        let untils: Vec<Timestamp> = first.iter().map(|end| end.until).collect();
        assert_eq!(untils, [after(30), after(45)], "one after another");
        let second = with_the_last(first, vec![call("b", false), call("c", false)], after(60), after(60));
        let b = second.iter().find(|end| end.runtime == "b").unwrap();
        assert_eq!((second.len(), b.times, b.until), (2, 2, after(120)), "{second:?}");
        assert!(reason(b).contains("2 times now"));
        let mut many = second;
        for nth in 0..20 {
            many = with_the_last(many, vec![call("b", false)], after(60 + nth), after(60 + nth));
        }
        let b = many.iter().find(|end| end.runtime == "b").unwrap();
        assert_eq!(b.until, after(79 + 3600), "no longer than this");
        let later = after(79 + 24 * 3600);
        assert!(with_the_last(many, Vec::new(), later, later).is_empty(), "it is long ago");
    }
}
