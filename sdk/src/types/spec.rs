//! What is to run.
use super::{Capability, PermissionProfile, Pins};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A workload to be deployed, complete: what is not in here is not asked for.
///
/// A plugin refuses fields that it does not know (see [`super`]), so fields that say nothing are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// The workload's uid: 32 lowercase hexadecimal digits, new for each creation.
    pub uid: String,
    /// Its name: unique on its host, `[a-z0-9][a-z0-9-]{1,51}`. Two hosts may share an engine and a name.
    pub name: String,
    /// The host that owns it. Whatever is created carries this and the uid as labels.
    pub host_id: String,
    /// What to run.
    pub source: Source,
    /// Arguments for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its environment; nothing else is inherited but what the runtime documents.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// How it is spoken to.
    pub transport: Transport,
    /// The user's labels. Those of the contract are added by the runtime and cannot be set here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The group that it is listed under, for whoever looks at the engine itself; none where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// As which user of the image it runs: a name or a number, with `:group` if one is given; the image's if there is
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// When its image is fetched; if it is missing, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<PullPolicy>,
    /// The directory of the host that it runs in; the runtime's choice if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Directories of the host to be seen by the workload, as `host:workload[:ro]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<String>,
    /// At most so many processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// At most so much memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// At most so many processes and threads; the runtime's choice if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<u64>,
    /// What the workload may touch; the runtime's choice if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_profile: Option<PermissionProfile>,
    /// What cannot be enforced here is left out and told ([`super::Confinement`]), instead of being refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_weaker: bool,
    /// Where the names of files in here led when the workload was created: what leads elsewhere now is refused. Only
    /// given to a runtime with the ability `pin`, which made it ([`crate::Pin`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pins>,
}

/// What to run.
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
    /// The kind's name, as stamps list it under `accepts`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Image { .. } => "image",
            Self::Package { .. } => "package",
            Self::Command { .. } => "command",
        }
    }
}

/// When an image is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Each time, so that it is the newest; without a registry the workload is not deployed.
    Always,
    /// If the engine does not have it.
    #[default]
    Missing,
    /// Never: what the engine does not have is an error.
    Never,
}

/// How a workload is spoken to: its wire. The set is open: a kind that a plugin does not know is refused by the SDK, by
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
    /// The capabilities that this specification needs, each with the field that needs it.
    pub fn requirements(&self) -> Vec<(Capability, &'static str)> {
        let mut needs = Vec::new();
        match self.transport {
            Transport::Stdio => needs.push((Capability::STDIO, "transport")),
            Transport::Http { .. } => needs.push((Capability::HTTP, "transport")),
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
    fn what_is_asked_for_names_the_capability_and_the_field() {
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
