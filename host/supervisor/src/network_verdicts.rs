//! [`NetworkVerdicts`]: which instances enforce the rules of networks, as users had it tried out. One file of the state
//! directory. Written by `runtime check --probe-network`, read for each specification and by `runtime check`.
use serde::{Deserialize, Serialize};
use std::time::Duration;
use wharf_model::{Error, ErrorKind, Result, WorkloadName};
use wharf_records::{OwnFiles, ReadError, RecordLock, StateDir};
use wharf_sdk::NetworkVerdict;

/// The file's name. It is a valid name of a workload too, so a record lock orders its writers; a workload of that name only
/// shares the wait.
const STEM: &str = "network-verdicts";
const FILE: &str = "network-verdicts.json";
/// The version of the file's form.
const VERSION: u32 = 1;
/// A larger file is not read.
const MAX_BYTES: usize = 1024 * 1024;
/// As many verdicts are kept; the oldest goes first.
const MAX_VERDICTS: usize = 256;
/// A verdict on an instance with a longer name is not kept: a plugin writes it.
const MAX_INSTANCE_BYTES: usize = 1024;
/// A longer explanation is cut: a plugin writes it, too.
const MAX_HOW_CHARS: usize = 512;
/// How long to wait for another writer.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// The verdicts on instances.
#[derive(Clone, Debug)]
pub struct NetworkVerdicts {
    state: StateDir,
}

/// The file.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    version: u32,
    verdicts: Vec<Entry>,
}

/// One verdict, and the runtime whose it is.
#[derive(Serialize, Deserialize)]
struct Entry {
    runtime: String,
    verdict: NetworkVerdict,
}

impl NetworkVerdicts {
    /// The verdicts of a state directory.
    #[must_use]
    pub fn of(state: StateDir) -> Self {
        Self { state }
    }

    /// The last verdict on an instance of a runtime. A file that cannot be read says nothing, which refuses more: so does one
    /// of a newer version.
    #[must_use]
    pub fn on(&self, runtime: &str, instance: &str) -> Option<NetworkVerdict> {
        let (_, kept) = self
            .read()
            .inspect_err(|error| tracing::warn!(%error, "the verdicts on networks count for nothing"))
            .ok()?;
        let mut entries = kept.verdicts.into_iter();
        let found = entries.find(|entry| entry.runtime == runtime && entry.verdict.instance == instance);
        found.map(|entry| entry.verdict)
    }

    /// Keeps a verdict in the place of an earlier one on the same instance; the oldest others go where they are too many or too
    /// large together. A file that cannot be read stays as it is.
    ///
    /// # Errors
    /// The file cannot be read or written, or the instance's name is too long.
    pub fn keep(&self, runtime: &str, verdict: &NetworkVerdict) -> Result<()> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Error::caused(ErrorKind::Failed, "the verdict cannot be kept", error)
        };
        if verdict.instance.len() > MAX_INSTANCE_BYTES {
            let message = format!(
                "the name that '{runtime}' gives its instance has more than {MAX_INSTANCE_BYTES} bytes"
            );
            return Err(Error::new(ErrorKind::Runtime, message).hint("the verdict cannot be kept"));
        }
        let name = WorkloadName::new(STEM)?;
        let _turn =
            RecordLock::acquire_blocking(&self.state, &name, LOCK_WAIT).map_err(|error| failed(&error))?;
        let (old, mut kept) = self.read().map_err(|error| failed(&error))?;
        let is_same = |entry: &Entry| entry.runtime == runtime && entry.verdict.instance == verdict.instance;
        kept.verdicts.retain(|entry| !is_same(entry));
        kept.verdicts.sort_by_key(|entry| entry.verdict.at_ms);
        let surplus = (kept.verdicts.len() + 1).saturating_sub(MAX_VERDICTS);
        kept.verdicts.drain(..surplus);
        let how = verdict.how.chars().take(MAX_HOW_CHARS).collect();
        let verdict = NetworkVerdict { how, ..verdict.clone() };
        kept.verdicts.push(Entry { runtime: runtime.to_owned(), verdict });
        kept.version = VERSION;
        // Names and explanations that a plugin has filled with what JSON escapes are six times as long in the file.
        let text = loop {
            let mut text = serde_json::to_vec_pretty(&kept).map_err(|error| failed(&error))?;
            text.push(b'\n');
            if text.len() <= MAX_BYTES || kept.verdicts.len() == 1 {
                break text;
            }
            kept.verdicts.remove(0);
        };
        self.files().replace(FILE, &text, old.as_deref()).map_err(|error| failed(&error))
    }

    fn files(&self) -> OwnFiles {
        OwnFiles::new(self.state.root())
    }

    /// The bytes of the file, and their meaning. No file: no verdicts.
    fn read(&self) -> std::result::Result<(Option<Vec<u8>>, Kept), Unreadable> {
        let bytes = match self.files().read(FILE, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok((None, Kept::default())),
            Err(source) => return Err(Unreadable::File { source }),
        };
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|source| Unreadable::Form { source })?;
        if kept.version > VERSION {
            return Err(Unreadable::Newer { version: kept.version });
        }
        Ok((Some(bytes), kept))
    }
}

/// Why the file cannot be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("{FILE} cannot be read")]
    File { source: ReadError },
    #[error("{FILE} has another form")]
    Form { source: serde_json::Error },
    #[error("{FILE} has version {version}, and this wharf reads {VERSION}")]
    Newer { version: u32 },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn verdict(instance: &str, enforced: bool, at_ms: u64) -> NetworkVerdict {
        NetworkVerdict { instance: instance.to_owned(), enforced, at_ms, how: "tried".to_owned() }
    }

    #[test]
    fn the_last_verdict_on_an_instance_counts_for_it_alone() {
        let dir = tempfile::tempdir().unwrap();
        let verdicts = NetworkVerdicts::of(StateDir::new(dir.path()));
        assert_eq!(verdicts.on("kubernetes", "c0/a"), None);
        assert!(!dir.path().join(FILE).exists(), "asking makes nothing");
        for kept in [verdict("c0/a", true, 1), verdict("c0/b", true, 2), verdict("c0/a", false, 3)] {
            verdicts.keep("kubernetes", &kept).unwrap();
        }
        assert_eq!(verdicts.on("kubernetes", "c0/a"), Some(verdict("c0/a", false, 3)));
        assert_eq!(verdicts.on("kubernetes", "c0/b"), Some(verdict("c0/b", true, 2)));
        assert_eq!(verdicts.on("another", "c0/a"), None);
    }

    #[test]
    fn the_file_does_not_grow_without_end_and_one_that_is_corrupt_says_nothing_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let verdicts = NetworkVerdicts::of(StateDir::new(dir.path()));
        let mut long = verdict("long", true, 0);
        long.how = "x".repeat(MAX_BYTES);
        verdicts.keep("kubernetes", &long).unwrap();
        for number in 1..=MAX_VERDICTS {
            verdicts.keep("kubernetes", &verdict(&format!("c{number}"), true, number as u64)).unwrap();
        }
        assert_eq!(verdicts.on("kubernetes", "long"), None, "the oldest is gone");
        assert!(verdicts.on("kubernetes", "c1").is_some());
        let path = dir.path().join(FILE);
        std::fs::File::create(&path).unwrap().write_all(b"{").unwrap();
        assert_eq!(verdicts.on("kubernetes", "c1"), None);
        assert!(verdicts.keep("kubernetes", &verdict("c1", true, 1)).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"{");
    }
    #[test]
    fn what_a_plugin_calls_its_instances_never_makes_the_file_too_large_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let verdicts = NetworkVerdicts::of(StateDir::new(dir.path()));
        let error = verdicts.keep("k", &verdict(&"i".repeat(MAX_BYTES), true, 1)).unwrap_err();
        assert!(error.message.contains("more than 1024 bytes"), "{}", error.message);
        let name = |number: usize| format!("{number}{}", "\u{1}".repeat(MAX_INSTANCE_BYTES - 10));
        for number in 0..MAX_VERDICTS {
            let how = "\u{1}".repeat(MAX_HOW_CHARS);
            verdicts
                .keep("k", &NetworkVerdict { how, ..verdict(&name(number), true, number as u64) })
                .unwrap();
        }
        assert!(std::fs::metadata(dir.path().join(FILE)).unwrap().len() <= MAX_BYTES as u64);
        assert!(verdicts.on("k", &name(MAX_VERDICTS - 1)).is_some());
        assert_eq!(verdicts.on("k", &name(0)), None, "the oldest is gone");
    }
}
