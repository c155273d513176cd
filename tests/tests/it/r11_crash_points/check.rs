//! The conditions that must hold after a kill, and a report on what each kill left.
use super::act::Act;
use super::kill::Scenario;
use super::lab::{GARBAGE, Lab, NAME, ORPHAN_LIMIT, pid_in, read_json};
use serde_json::Value;
use std::{fs, path::PathBuf, time::Instant};
use wharf_tests::host::{Said, runs};

/// The outcome of a scenario.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Whether anybody was killed there.
    pub(super) reached: bool,
    /// The state right after the kill.
    pub(super) left: String,
    /// The effects of the next commands.
    pub(super) next: String,
}

impl Lab {
    /// One scenario; `then` is the next command.
    pub(super) fn scenario(&self, scenario: &Scenario, then: &str) -> Result<Outcome, String> {
        let Scenario { act, kill, .. } = scenario;
        self.clear_trace();
        self.clear_mark();
        let variable = format!("{}:{}", kill.variable(), self.mark().display());
        let armed = |before| (kill.was_there == before).then_some(variable.as_str());
        self.prepare(*act, armed(true))?;
        let said = self.act(*act, armed(false))?;
        let in_time = self.mark().exists();
        let left = self.left();
        let next = match self.check(*act, &said, then) {
            // The process that was to die reached the point only now, in the commands after the kill.
            Err(_) if !in_time && self.mark().exists() => self.check(*act, &said, then)?,
            other => other?,
        };
        Ok(Outcome { reached: self.mark().exists(), left, next })
    }

    /// The victim's present state, in words.
    fn left(&self) -> String {
        let config = if self.is_known() { "RunConfig" } else { "no RunConfig" };
        let status = match (self.record(), self.status_file().exists()) {
            (Some(record), _) => {
                let lives = pid_in(&record["process_id"]).is_some_and(runs);
                let supervisor = if lives { "a supervisor" } else { "no supervisor" };
                let word = |field: &str| record[field].as_str().unwrap_or("?").to_owned();
                format!("{}, wanted {}, {supervisor}", word("status"), word("desired"))
            }
            (None, true) => "corrupt record".to_owned(),
            (None, false) => "no record".to_owned(),
        };
        let has = match &self.beside {
            Some(beside) => beside.told(),
            None => format!("{} processes", self.processes().len()),
        };
        format!("{config}, {status}, {has}")
    }

    /// Every file under its own name is a whole record.
    fn check_records(&self) -> Result<(), String> {
        for folder in ["state/runconfigs", "state/statuses", "data/runtimes/process"] {
            let entries = fs::read_dir(self.host.path(folder)).into_iter().flatten().filter_map(Result::ok);
            for path in entries.map(|entry| entry.path()) {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if name.starts_with('.') || !name.ends_with(".json") {
                    continue;
                }
                match read_json(&path) {
                    Ok(value) if value["uid"].is_string() => {}
                    Err(_) if fs::read(&path).is_ok_and(|bytes| bytes == GARBAGE) => {}
                    // Removed since the folder was read.
                    Err(_) if !path.exists() => {}
                    other => return Err(format!("{folder}/{name} is not whole: {other:?}")),
                }
            }
        }
        Ok(())
    }

    /// Everything that runs is on record, or ends by itself; every object of an engine carries the uid of a record.
    fn check_known(&self) -> Result<(), String> {
        let deadline = Instant::now() + ORPHAN_LIMIT;
        loop {
            let unknown = self.unknown();
            if unknown.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("nobody knows {unknown:?}"));
            }
            std::thread::sleep(self.pause());
        }
    }

    fn unknown(&self) -> Vec<String> {
        let mut unknown = Vec::new();
        if !self.is_known() {
            unknown.extend(self.processes().into_iter().map(|pid| pid.to_string()));
        }
        // The workload's own, and those of its sessions.
        let mut known: Vec<Value> =
            read_json(&self.config_file()).into_iter().map(|it| it["uid"].clone()).collect();
        let record = self.record().unwrap_or_default();
        let servers = record["session_servers"].as_array().into_iter().flatten();
        known.extend(servers.map(|server| server["uid"].clone()));
        let objects = self.beside.iter().flat_map(|beside| beside.victims());
        unknown.extend(objects.filter(|it| !known.iter().any(|uid| *uid == it.uid)).map(|it| it.id));
        unknown
    }

    /// Checks everything that must hold now and after the next commands; returns an account of what those did.
    pub(super) fn check(&self, act: Act, said: &Said, then: &str) -> Result<String, String> {
        self.behave();
        self.check_records()?;
        let listed = self.host.wharf(&["list", "--all", "--format", "json"]);
        if listed.code != 0 {
            return Err(format!("list: {listed:?}"));
        }
        if !act.forgets() {
            self.check_known()?;
        }
        let next = self.go_on(act, said, then)?;
        self.check_records()?;
        self.beside.as_ref().map_or(Ok(()), |beside| beside.check(&self.host))?;
        Ok(next)
    }

    /// Nothing is left of a removed workload. A launcher that only made a trial, for the doctor, removes its folder after
    /// its report.
    pub(super) fn check_nothing_is_left(&self) -> Result<(), String> {
        self.await_nothing_runs()?;
        let deadline = Instant::now() + ORPHAN_LIMIT;
        loop {
            let left = self.leftovers();
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("left after rm: {left:?}"));
            }
            std::thread::sleep(self.pause());
        }
    }

    fn leftovers(&self) -> Vec<String> {
        let mut left = self.host.leftovers();
        if let Some(beside) = &self.beside {
            left.retain(|path| !beside.has_file(path));
            left.extend(beside.victims().into_iter().map(|object| object.id));
        }
        left
    }

    /// The files with the planted bytes: a corrupt record has one name or two, and all its bytes.
    pub(super) fn kept(&self) -> Result<Vec<PathBuf>, String> {
        let folder = self.host.path("state/statuses");
        let entries = fs::read_dir(folder).map_err(|error| error.to_string())?.filter_map(Result::ok);
        let is_garbage = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes == GARBAGE);
        let kept: Vec<_> = entries.map(|entry| entry.path()).filter(is_garbage).collect();
        if kept.is_empty() { Err("the bytes of a corrupt record are lost".to_owned()) } else { Ok(kept) }
    }

    /// The status that the list shows of the victim.
    pub(super) fn shown(&self) -> Option<String> {
        self.host.row(NAME).map(|row| row["status"].as_str().unwrap_or_default().to_owned())
    }
}
