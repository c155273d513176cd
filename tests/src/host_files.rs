//! The records of a host, and what workloads leave, as files: for tests that look at them, or change them behind its back.
use crate::host::Host;
use serde_json::Value;
use std::{fs, io::Write};

impl Host {
    /// The status record of a workload, from its file.
    pub fn record(&self, name: &str) -> Value {
        let text =
            fs::read(self.path(&format!("state/statuses/{name}.json"))).expect("there is a status record");
        serde_json::from_slice(&text).expect("the record is JSON")
    }

    /// The RunConfig of a workload, from its file.
    pub fn run_config(&self, name: &str) -> Value {
        let text =
            fs::read(self.path(&format!("state/runconfigs/{name}.json"))).expect("there is a RunConfig");
        serde_json::from_slice(&text).expect("the RunConfig is JSON")
    }

    /// Writes a RunConfig behind the back of its host, as another version or another product would have.
    pub fn write_run_config(&self, name: &str, config: &Value) {
        let path = self.path(&format!("state/runconfigs/{name}.json"));
        fs::File::create(path)
            .and_then(|mut file| file.write_all(config.to_string().as_bytes()))
            .expect("the RunConfig can be written");
    }

    /// Changes a RunConfig behind the back of its host.
    pub fn change_run_config(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut config = self.run_config(name);
        change(&mut config);
        self.write_run_config(name, &config);
    }

    /// Changes a status record behind the back of its host.
    pub fn change_record(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut record = self.record(name);
        change(&mut record);
        fs::File::create(self.path(&format!("state/statuses/{name}.json")))
            .and_then(|mut file| file.write_all(record.to_string().as_bytes()))
            .expect("the record can be written");
    }

    /// The state file of a workload's launcher.
    pub fn state_of(&self, name: &str) -> Value {
        let uid = self.row(name).expect("there is such a workload")["uid"].as_str().expect("text").to_owned();
        let text =
            fs::read(self.path(&format!("data/runtimes/process/{uid}.json"))).expect("there is a state");
        serde_json::from_slice(&text).expect("the state is JSON")
    }

    /// Every file of the host except logs, plugins and files of the test itself: the leftovers of removed workloads.
    pub fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for folder in [
            "state/runconfigs",
            "state/statuses",
            "state/proxy-secrets",
            "state/control",
            "data/runtimes/process",
        ] {
            let entries = fs::read_dir(self.path(folder)).into_iter().flatten().filter_map(Result::ok);
            let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            // The packages that npx and uvx have fetched belong to no workload.
            let left = names.filter(|name| name != "packages");
            found.extend(left.map(|name| format!("{folder}/{name}")));
        }
        found
    }
}
