//! [`WorkloadSpec`]: the complete description of a workload to deploy. The host makes it from a RunConfig; a runtime's
//! `validate`, `pin` and `deploy` read it.
use super::{
    Capability, ContainerOptions, Error, Measure, Mount, NetworkVerdict, PermissionProfile, Pins, Result,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A workload to be deployed. The description is complete: an absent field asks for nothing.
///
/// A plugin refuses fields that it does not know (see [`super`]), so fields without a value are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// The workload's uid: 32 lowercase hexadecimal digits, new for each creation.
    pub uid: String,
    /// Its name: unique on its host, `[a-z0-9][a-z0-9-]{0,51}`. Two hosts may share an engine and a name.
    pub name: String,
    /// The host that owns it. Whatever is created carries this and the uid as labels.
    pub host_id: String,
    /// The uid of the workload that this belongs to, as the server of one of its sessions: a label beside the two.
    /// Such a one has its name, and a uid of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The program, package or image to run.
    pub source: Source,
    /// The program's arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its environment; it inherits nothing else but the variables that the runtime documents.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Its wire: how the host speaks to it.
    pub transport: Transport,
    /// The user's labels. The runtime adds the labels of the contract, which cannot be set here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The group that it is listed under, for people who look at the engine itself. None if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The user of the image that it runs as: a name or a number, with `:group` if one is given; the image's own user if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// When to fetch its image; if absent, when it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<PullPolicy>,
    /// The directory that it runs in: of the host, or of the image where one is run; the runtime's choice if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Directories of the host, and volumes of the engine by their names, that the workload sees, as
    /// `host:workload[:options]`. The options are `ro`, `rw`, `z` and `Z`, with commas between them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<String>,
    /// At most this many processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// At most so much memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// At most this many processes and threads; the runtime's choice if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<u64>,
    /// The files and the network that it may use; the runtime's choice if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_profile: Option<PermissionProfile>,
    /// A part that cannot be enforced here is left out and reported ([`super::Confinement`]), instead of being refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_weaker: bool,
    /// Where the names of files in this specification led when the workload was created. The runtime refuses a name that
    /// leads elsewhere now. Only a runtime with the ability `pin`, which made it ([`crate::Pin`]), is given this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pins>,
    /// The last verdict on the networks of the instance that the workload belongs to. Only a runtime with the ability `probe`,
    /// which made it ([`crate::Probe`]), is given this; none if it was never asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_verdict: Option<NetworkVerdict>,
    /// The names of the variables in `env` that nobody asked for: the host supposes them. What an image sets under such a name
    /// is left as it is. Where the variables for the port are among them the port is supposed, too, and one that the image
    /// names goes before it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub supposed: BTreeSet<String>,
    /// Options that only a runtime that makes containers can honour.
    #[serde(default, skip_serializing_if = "ContainerOptions::is_empty")]
    pub container: ContainerOptions,
}

/// The program, package or image to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A container image.
    Image {
        /// The reference, as the user gave it.
        reference: String,
    },
    /// A package of a registry of programs, run by that registry's tool.
    Package {
        /// The tool: `npx` or `uvx`.
        tool: String,
        /// The package, with `@version` if one was given.
        package: String,
    },
    /// A program on this machine: a path, or a name to be looked up in `PATH`.
    Command {
        /// The program.
        program: String,
    },
}

impl Source {
    /// The kind's name, as manifests list it under `accepts`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Image { .. } => "image",
            Self::Package { .. } => "package",
            Self::Command { .. } => "command",
        }
    }
}

/// When to fetch an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// At each start, so that it is the newest; if the registry cannot be reached, the workload is not deployed.
    Always,
    /// If the engine does not have it.
    #[default]
    Missing,
    /// Never: if the engine does not have it, that is an error.
    Never,
}

/// The wire of a workload: how the host speaks to it. The set is open: the SDK refuses a kind that it does not know, by
/// name, before the plugin sees the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Transport {
    /// Over its stdin and stdout, through `attach`.
    Stdio,
    /// Over HTTP, on a port on which it listens; the runtime says how that is reached ([`super::Address`]).
    Http {
        /// The port inside the workload.
        target_port: u16,
    },
}

impl Transport {
    /// The port inside the workload, where it has one.
    pub const fn target_port(self) -> Option<u16> {
        match self {
            Self::Stdio => None,
            Self::Http { target_port } => Some(target_port),
        }
    }
}

impl WorkloadSpec {
    /// Handles a field that cannot be enforced: an error that names it, or, if the user allows that, one more entry in
    /// [`super::Confinement::weaker`].
    pub fn leave_out(&self, field: &str, place: &str, why: &str, weaker: &mut Vec<Measure>) -> Result<()> {
        if !self.allow_weaker {
            return Err(Error::unenforceable(field, place, why));
        }
        weaker.push(Measure { what: field.to_owned(), how: why.to_owned() });
        Ok(())
    }

    /// The capabilities that this specification needs, each with the field that needs it.
    pub fn requirements(&self) -> Vec<(Capability, &'static str)> {
        let mut needs = Vec::new();
        match self.transport {
            Transport::Stdio => needs.push((Capability::STDIO, "transport")),
            Transport::Http { .. } => needs.push((Capability::HTTP, "transport")),
        }
        if self.parent.is_some() {
            needs.push((Capability::PARENT, "parent"));
        }
        if self.user.is_some() {
            needs.push((Capability::USER, "user"));
        }
        if self.pull.is_some() {
            needs.push((Capability::PULL, "pull"));
        }
        if self.working_dir.is_some() {
            needs.push((Capability::WORKING_DIR, "working_dir"));
        }
        if !self.mounts.is_empty() {
            needs.push((Capability::MOUNTS, "mounts"));
        }
        if self.cpus.is_some() {
            needs.push((Capability::CPUS, "cpus"));
        }
        if self.memory_bytes.is_some() {
            needs.push((Capability::MEMORY, "memory_bytes"));
        }
        if self.pids_limit.is_some() {
            needs.push((Capability::PIDS, "pids_limit"));
        }
        if self.permission_profile.is_some() {
            needs.push((Capability::PERMISSION_PROFILE, "permission_profile"));
        }
        if self.pinned.is_some() {
            needs.push((Capability::PIN, "pinned"));
        }
        if self.network_verdict.is_some() {
            needs.push((Capability::PROBE, "network_verdict"));
        }
        // A mount that makes no sense is refused by the runtime, in its own words.
        if self.mounts.iter().any(|text| Mount::parse(text).is_ok_and(|mount| mount.relabel.is_some())) {
            needs.push((Capability::RELABEL, "mounts"));
        }
        needs.extend(self.container.requirements());
        needs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_not_known_is_refused_by_name() {
        let text = r#"{"uid":"u","name":"n","host_id":"h","source":{"kind":"command","program":"x"},
                       "transport":{"kind":"stdio"},"gpu_count":1}"#;
        let error = serde_json::from_str::<WorkloadSpec>(text).unwrap_err().to_string();
        assert!(error.contains("gpu_count"), "{error}");
    }

    #[test]
    fn each_requested_setting_names_its_capability_and_field() {
        let spec: WorkloadSpec = serde_json::from_str(
            r#"{"uid":"u","name":"n","host_id":"h","source":{"kind":"command","program":"x"},
                "transport":{"kind":"http","target_port":80},"memory_bytes":1024}"#,
        )
        .unwrap();
        assert_eq!(
            spec.requirements(),
            [(Capability::HTTP, "transport"), (Capability::MEMORY, "memory_bytes")]
        );
    }
}
