//! The contract's sentences about records and views, checked against the true state.
use crate::tests::any;
use crate::tests::simulated_host::*;
use std::{collections::BTreeMap, fs, path::Path, path::PathBuf};
use wharf_model::Phase;
use wharf_model::{Action, Effective, EffectiveState, assess};
use wharf_records::RecordKind;

impl SimulatedHost {
    /// Reads everything as `wharf list` does, twice, and compares it with what should be there.
    pub(crate) fn look(&self) {
        let before = files(self.root.path());
        for index in 0..NAMES.len() {
            self.look_at(index);
        }
        assert_eq!(files(self.root.path()), before, "reading writes nothing (R05)");
    }

    fn look_at(&self, index: usize) {
        let workload = &self.workloads[index];
        let config = match self.store.read_run_config(&workload.name) {
            Ok(config) => Expected::Sound(config),
            Err(error) if error.is_not_found() => Expected::Absent,
            Err(error) => {
                assert!(error.is_corrupt(), "{error}");
                Expected::Corrupt
            }
        };
        let status = match self.store.read_status(&workload.name) {
            Ok(record) => Expected::Sound(record),
            Err(error) if error.is_not_found() => Expected::Absent,
            Err(error) => {
                assert!(error.is_corrupt(), "{error}");
                Expected::Corrupt
            }
        };
        assert_eq!(config, workload.config, "no update is lost");
        assert_eq!(status, workload.status, "no update is lost");
        for (kind, is_corrupt) in [
            (RecordKind::RunConfig, config == Expected::Corrupt),
            (RecordKind::Status, status == Expected::Corrupt),
        ] {
            if is_corrupt {
                assert_eq!(fs::read(self.path(index, kind)).unwrap(), GARBAGE, "its bytes are kept");
            }
        }
        let (Expected::Sound(config), Expected::Sound(record)) = (config, status) else { return };
        assert_eq!(record.uid, config.uid, "a record is of its RunConfig's creation");
        self.check_shown(index, &record, &assess(Some(&record), &self.witnesses(index, &config)));
    }

    /// The contract's sentences about the view, checked against the true state.
    fn check_shown(&self, index: usize, record: &StatusRecord, shown: &Effective) {
        let workload = &self.workloads[index];
        let (supervised, at_work) = (workload.supervisor.is_some(), workload.command.is_some());
        let (believed, runs) = (self.is_believed(index), self.runs(&record.uid));
        let is_of_this_boot = record.supervisor.as_ref().is_none_or(|it| it.boot_id == any::boot(self.boot));
        let why = format!("{shown:?} of {record:?} with {workload:?}, {:?}", self.answer);
        assert!(shown.stale.is_none() || !believed, "evidence makes fresh: {why}");
        match shown.state {
            EffectiveState::Running => {
                assert!(supervised && record.phase == Phase::Running, "{why}");
                assert_eq!(shown.stale.is_none(), believed, "{why}");
                assert!(runs || !believed, "{why}");
            }
            EffectiveState::Unhealthy => {
                let is_contradicted = believed && runs != (record.phase == Phase::Running);
                let lost_its_proxy = record.phase == Phase::Running && !supervised && is_of_this_boot;
                assert!(is_contradicted || lost_its_proxy, "no evidence, no verdict: {why}");
            }
            EffectiveState::Stopped | EffectiveState::Error => {
                let is_gone = record.phase == Phase::Running && !is_of_this_boot && !supervised;
                assert!(is_gone || shown.state == record.phase.into(), "{why}");
                assert!(is_gone || !(believed && runs), "{why}");
                assert!(is_gone || shown.stale.is_none() == believed, "{why}");
            }
            EffectiveState::Interrupted => {
                assert!(record.phase.is_transitional() && !supervised && !at_work, "{why}");
            }
            EffectiveState::Starting | EffectiveState::Stopping | EffectiveState::Removing => {
                assert!(shown.state == record.phase.into() && (supervised || at_work), "{why}");
            }
            EffectiveState::Paused => panic!("nobody pauses it here: {why}"),
            EffectiveState::Unknown => panic!("it is on record: {why}"),
        }
    }

    /// The owner answers, nobody is at work, bad files are dropped: then records and runtime agree after one round.
    pub(crate) fn grow_quiet(&mut self) {
        self.answer = OwnerAnswer::Answers;
        self.resources.retain(|seen| seen.object != "second");
        for index in 0..NAMES.len() {
            self.command_dies(index);
            let workload = &self.workloads[index];
            if workload.config == Expected::Corrupt || workload.status == Expected::Corrupt {
                self.forget(index);
            }
        }
        self.reconcile();
        self.look();
        for index in 0..NAMES.len() {
            let Some(config) = self.workloads[index].config.sound() else { continue };
            assert!(
                matches!(self.plan(index, config), Action::None | Action::Leave(_)),
                "one round is enough"
            );
            let Some(record) = self.workloads[index].status.sound() else { continue };
            assert!(!record.phase.is_transitional(), "{record:?}");
            let is_running = record.phase == Phase::Running;
            assert_eq!(is_running, self.workloads[index].supervisor.is_some(), "{record:?}");
            assert_eq!(is_running, self.runs(&record.uid), "{record:?}");
        }
    }
}

/// Every file with its bytes and the time of its last change.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        if path.is_dir() {
            found.extend(files(&path));
        }
        found.insert(
            path.clone(),
            (if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() }, changed),
        );
    }
    found
}
