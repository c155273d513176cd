//! No update is lost: an observer that reads the records all the time sees each of their versions once, and no version
//! comes back.
use super::setup::NAMES;
use serde_json::Value;
use std::{collections::BTreeMap, fs, sync::Mutex};
use wharf_tests::host::Host;

/// The versions of the records that were seen until now.
#[derive(Default)]
pub(super) struct Updates(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// By uid: the last revision of its status record, and the record.
    statuses: BTreeMap<String, (u64, String)>,
    /// By uid: its name and its owner, once it has one.
    owners: BTreeMap<String, (String, [String; 3])>,
    versions: u32,
    faults: Vec<String>,
}

impl Updates {
    /// Looks at all records once.
    pub(super) fn look(&self, host: &Host) {
        let mut seen = self.0.lock().unwrap();
        for name in NAMES {
            if let Ok(text) = fs::read_to_string(host.path(&format!("state/statuses/{name}.json"))) {
                seen.status(name, &text);
            }
            if let Ok(text) = fs::read_to_string(host.path(&format!("state/runconfigs/{name}.json"))) {
                seen.config(name, &text);
            }
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.0.lock().unwrap().versions
    }

    pub(super) fn check(&self) {
        let seen = self.0.lock().unwrap();
        assert!(
            seen.faults.is_empty(),
            "{} updates are lost:\n{}",
            seen.faults.len(),
            seen.faults.join("\n")
        );
        assert!(seen.versions > 0, "nothing was seen");
    }
}

impl Seen {
    /// A revision is written once and followed by greater ones.
    fn status(&mut self, name: &str, text: &str) {
        let Ok(record) = serde_json::from_str::<Value>(text) else {
            self.faults.push(format!("the status of {name} was not whole: {text}"));
            return;
        };
        let (Some(uid), Some(revision)) = (record["uid"].as_str(), record["revision"].as_u64()) else {
            self.faults.push(format!("the status of {name} has no uid or no revision: {text}"));
            return;
        };
        let last = self.statuses.insert(uid.to_owned(), (revision, text.to_owned()));
        match last {
            Some((before, same)) if before == revision && same == text => {}
            Some((before, other)) if before >= revision => {
                self.faults
                    .push(format!("after revision {before} of {name} came {revision}: {other} {text}"));
            }
            _ => self.versions += 1,
        }
    }

    /// A uid has one name, and an owner that it got keeps it: the instances here do not change.
    fn config(&mut self, name: &str, text: &str) {
        let Ok(config) = serde_json::from_str::<Value>(text) else {
            self.faults.push(format!("the RunConfig of {name} was not whole: {text}"));
            return;
        };
        let word = |field: &str| config[field].as_str().unwrap_or_default().to_owned();
        let owner = ["runtime_name", "runtime_instance", "runtime_endpoint"].map(word);
        if owner[0].is_empty() {
            if let Some((_, had)) = self.owners.get(&word("uid")) {
                self.faults.push(format!("{name} lost its owner {had:?}"));
            }
            return;
        }
        let now = (name.to_owned(), owner);
        match self.owners.insert(word("uid"), now.clone()) {
            Some(before) if before != now => self.faults.push(format!("{before:?} became {now:?}")),
            _ => {}
        }
    }
}
