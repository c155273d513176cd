//! [`ContainerOptions`]: what only a runtime that makes containers can honour. Each part has a capability of its own, so
//! that a runtime refuses by name what it cannot do.
use super::Capability;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Options of containers, with the meanings that `docker run` gives them. An absent one asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ContainerOptions {
    /// Limits that the kernel keeps for each process, by their names without `RLIMIT_`, such as `nofile`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Capabilities of the kernel that it keeps, such as `SETUID`; all others are dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// The network of the engine that it is in; the engine's usual one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// More names of machines in it, as `NAME:ADDRESS`; the address `host-gateway` is that of this machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_hosts: Vec<String>,
    /// The program that it runs instead of the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// The server is the first process of its container, without an init.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_init: bool,
    /// The platform whose image is run, as `OS/ARCHITECTURE[/VARIANT]`; the engine's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The size of its `/dev/shm`, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size_bytes: Option<u64>,
    /// Folders in memory, as `PATH` or `PATH:OPTIONS`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<String>,
}

/// A limit of the kernel; -1 is none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ulimit {
    /// The limit at the start, which a process may raise up to the other one.
    pub soft: i64,
    /// The highest limit that a process may set itself.
    pub hard: i64,
}

impl ContainerOptions {
    /// True if nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The capabilities that these options need, each with the field that needs it.
    pub fn requirements(&self) -> impl Iterator<Item = (Capability, &'static str)> {
        let asked = [
            (!self.ulimits.is_empty(), Capability::ULIMITS, "container.ulimits"),
            (!self.cap_add.is_empty(), Capability::CAP_ADD, "container.cap_add"),
            (self.network.is_some(), Capability::NETWORK, "container.network"),
            (!self.add_hosts.is_empty(), Capability::ADD_HOSTS, "container.add_hosts"),
            (self.entrypoint.is_some(), Capability::ENTRYPOINT, "container.entrypoint"),
            (self.no_init, Capability::NO_INIT, "container.no_init"),
            (self.platform.is_some(), Capability::PLATFORM, "container.platform"),
            (self.shm_size_bytes.is_some(), Capability::SHM_SIZE, "container.shm_size_bytes"),
            (!self.tmpfs.is_empty(), Capability::TMPFS, "container.tmpfs"),
        ];
        asked.into_iter().filter_map(|(is_asked, capability, field)| is_asked.then_some((capability, field)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_names_its_capability_and_its_field() {
        let all: ContainerOptions = serde_json::from_str(
            r#"{"ulimits":{"nofile":{"soft":1,"hard":2}},"cap_add":["SETUID"],"network":"n","add_hosts":["a:1.2.3.4"],
                "entrypoint":"sh","no_init":true,"platform":"linux/amd64","shm_size_bytes":1,"tmpfs":["/a"]}"#,
        )
        .unwrap();
        let fields = serde_json::to_value(&all).unwrap();
        let named: Vec<String> =
            all.requirements().map(|(_, field)| field.replace("container.", "")).collect();
        assert_eq!(named.len(), fields.as_object().unwrap().len());
        assert!(named.iter().all(|field| fields.get(field).is_some()), "{named:?}");
        assert!(
            ContainerOptions::default().is_empty()
                && ContainerOptions::default().requirements().next().is_none()
        );
    }

    #[test]
    fn an_option_that_is_not_known_is_refused_by_name() {
        let error = serde_json::from_str::<ContainerOptions>(r#"{"gpus":"all"}"#).unwrap_err().to_string();
        assert!(error.contains("gpus"), "{error}");
    }
}
