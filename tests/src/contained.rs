//! The resources that a real engine has of a host, in the form in which scripted engines show theirs.
use crate::engines::{Engine, Kind};
use std::collections::BTreeMap;
use wharf_test_engine::{Object, State};

impl Engine {
    /// The containers that carry this host's id, in any state, as the engine's own client lists them.
    pub fn objects_of(&self, host_id: &str) -> Vec<Object> {
        let label = match self.kind() {
            Kind::Docker => r#"{{.Label "wharf.uid"}}"#,
            Kind::Podman => r#"{{index .Labels "wharf.uid"}}"#,
        };
        let (filter, format) = (
            format!("label=wharf.host-id={host_id}"),
            format!("{{{{.ID}}}}|{label}|{{{{.Names}}}}|{{{{.Status}}}}"),
        );
        let listed = self.client(&["ps", "--all", "--no-trunc", "--filter", &filter, "--format", &format]);
        listed.lines().map(|line| self.object(line, host_id)).collect()
    }

    fn object(&self, line: &str, host_id: &str) -> Object {
        let words: Vec<_> = line.split('|').collect();
        let [id, uid, name, status] = words[..] else { panic!("{line}") };
        let state = match status.split(' ').next().unwrap_or_default() {
            "Up" => State::Running,
            "Created" | "Initialized" => State::Created,
            "Exited" | "Dead" | "Stopped" => State::Stopped,
            "Removal" | "Removing" | "Stopping" => State::Removing,
            _ => State::Unknown,
        };
        let exit = status.strip_prefix("Exited (").and_then(|rest| rest.split(')').next()?.parse().ok());
        Object {
            id: id.to_owned(),
            instance: self.endpoint(),
            uid: uid.to_owned(),
            host_id: host_id.to_owned(),
            name: name.to_owned(),
            labels: BTreeMap::new(),
            state,
            exit,
        }
    }

    /// Kills a container, if it is there and runs.
    pub fn kill(&self, object: &Object) {
        let _ = self.command(&["kill", &object.id]).output();
    }
}
