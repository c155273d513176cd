//! ToolHive's folders in a host's home, with the files that it would have written.
use crate::host::{COMMAND_WAIT, Host, Said, output_of};
use crate::json_forms;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// ToolHive's folders.
#[derive(Clone, Copy, Debug)]
pub struct ToolHive<'a> {
    host: &'a Host,
}

impl<'a> ToolHive<'a> {
    /// The folders, empty.
    pub fn of(host: &'a Host) -> Self {
        for folder in ["runconfigs", "groups"] {
            fs::create_dir_all(Self::state(host).join(folder)).expect("a folder of ToolHive's");
        }
        fs::create_dir_all(Self::data(host).join("statuses")).expect("a folder of ToolHive's");
        Self { host }
    }

    fn state(host: &Host) -> PathBuf {
        host.path("xdg-state/toolhive")
    }

    fn data(host: &Host) -> PathBuf {
        host.path("xdg-data/toolhive")
    }

    /// Lets a command look for them there.
    pub fn shown_to<'c>(host: &Host, command: &'c mut Command) -> &'c mut Command {
        command.env("XDG_STATE_HOME", host.path("xdg-state")).env("XDG_DATA_HOME", host.path("xdg-data"))
    }

    /// Writes a run config as it is.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        put(&Self::state(self.host).join(format!("runconfigs/{name}.json")), bytes);
    }

    /// Writes the run config of a workload on stdio, with more fields, and its status.
    pub fn workload(&self, name: &str, image: &str, more: &Value) {
        let mut config = json!({
            "schema_version": "v0.1.0", "image": image, "name": name, "container_name": name, "base_name": name,
            "transport": "stdio", "host": "127.0.0.1", "port": 0, "proxy_mode": "streamable-http",
            "group": "default", "isolate_network": false, "permission_profile": {},
            "env_vars": {"MCP_TRANSPORT": "stdio"},
        });
        config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.write(name, config.to_string().as_bytes());
        let status = json!({
            "status": "running", "created_at": "2026-03-01T10:00:00.1+01:00",
            "updated_at": "2026-03-01T10:00:09.4+01:00", "process_id": 1,
        });
        self.status(name, status.to_string().as_bytes());
    }

    /// Writes a status file as it is.
    pub fn status(&self, name: &str, bytes: &[u8]) {
        put(&Self::data(self.host).join(format!("statuses/{name}.json")), bytes);
    }

    /// Writes a group as it is.
    pub fn group(&self, name: &str, bytes: &[u8]) {
        put(&Self::state(self.host).join(format!("groups/{name}.json")), bytes);
    }

    /// Where the run configs are.
    pub fn run_configs(&self) -> PathBuf {
        Self::state(self.host).join("runconfigs")
    }

    /// Everything that ToolHive has, as a digest of names, bytes and times.
    pub fn digest(&self) -> String {
        digest(&[Self::state(self.host), Self::data(self.host)])
    }

    /// Imports, and returns the command's output.
    pub fn import(&self, more: &[&str]) -> Said {
        let args = [&["import", "toolhive"], more].concat();
        let mut command = self.host.command(&args);
        let said = Said::of(&output_of(Self::shown_to(self.host, &mut command), COMMAND_WAIT));
        json_forms::check(&args, &said);
        said
    }

    /// The reports of an import that must succeed.
    pub fn reports(&self, more: &[&str]) -> Vec<Value> {
        let said = self.import(&[more, &["--format", "json"]].concat());
        assert_eq!(said.code, 0, "{said:?}");
        serde_json::from_str(&said.stdout).expect("the reports are JSON")
    }
}

/// The report about one workload.
pub fn about<'r>(reports: &'r [Value], source: &str) -> &'r Value {
    reports
        .iter()
        .find(|report| report["source"] == source)
        .unwrap_or_else(|| panic!("{source}: {reports:#?}"))
}

/// The files of folders as a digest of names, bytes and times.
pub fn digest(folders: &[PathBuf]) -> String {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut left = folders.to_vec();
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { left.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let mut sum = Sha256::new();
    for file in files {
        let modified = fs::symlink_metadata(&file).and_then(|metadata| metadata.modified());
        sum.update(format!("{} {modified:?}", file.display()));
        if file.is_file() {
            sum.update(fs::read(&file).unwrap_or_default());
        }
    }
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn put(path: &Path, bytes: &[u8]) {
    fs::File::create(path).and_then(|mut file| file.write_all(bytes)).expect("a file of ToolHive's");
}
