//! [`Case`]: a sentence of the contract, the steps that test it, and its needs.
use super::breach::Checked;
use super::fixture::Fixture;
use crate::Capability;
use crate::stamp::RuntimeStamp;
use serde::{Deserialize, Serialize};
use std::{future::Future, pin::Pin};

/// A group of cases that a runtime passes or fails as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The cases for every runtime.
    Core,
    /// The ends of workloads.
    Exit,
    /// Logs of workloads.
    Logs,
    /// Stdin and stdout of workloads.
    Attach,
    /// Workloads that go on when a process of the host ends.
    Recover,
    /// Ports.
    Ports,
    /// Connections to ports that the runtime carries.
    Dial,
    /// Limits of resources.
    Limits,
    /// Permission profiles.
    Permissions,
    /// Workloads that belong to others, as a server of one session does.
    Sessions,
    /// Workloads that their engine starts again by itself.
    Restarts,
    /// Trials of networks.
    Probe,
    /// What a name meant when its workload was created.
    Pin,
    /// Folders of this machine that are mounted.
    Mounts,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 14] = [
        Self::Core,
        Self::Exit,
        Self::Logs,
        Self::Attach,
        Self::Recover,
        Self::Ports,
        Self::Dial,
        Self::Limits,
        Self::Permissions,
        Self::Sessions,
        Self::Restarts,
        Self::Probe,
        Self::Pin,
        Self::Mounts,
    ];

    /// The profile's name. The ids of its cases begin with it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Exit => "exit",
            Self::Logs => "logs",
            Self::Attach => "attach",
            Self::Recover => "recover",
            Self::Ports => "ports",
            Self::Dial => "dial",
            Self::Limits => "limits",
            Self::Permissions => "permissions",
            Self::Sessions => "sessions",
            Self::Restarts => "restarts",
            Self::Probe => "probe",
            Self::Pin => "pin",
            Self::Mounts => "mounts",
        }
    }
}

/// A condition without which a case cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// The runtime must declare this capability.
    Capability(Capability),
    /// The material must be a shell.
    Shell,
    /// The material must have a program that listens.
    Listener,
    /// The material must have a program that connects.
    Connector,
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Capability(capability) => write!(f, "the runtime does not claim '{capability}'"),
            Self::Shell => f.write_str("nothing was given that runs scripts"),
            Self::Listener => f.write_str("nothing was given that listens on a port"),
            Self::Connector => f.write_str("nothing was given that connects to a port"),
        }
    }
}

/// A part of a case, which is run in a process of its own.
pub(super) type Step = for<'a> fn(&'a Fixture) -> Pin<Box<dyn Future<Output = Checked> + 'a>>;

/// A sentence of the contract, and the steps that test it.
pub struct Case {
    /// The id: the profile, a full stop, and words.
    pub id: &'static str,
    /// The sentence.
    pub sentence: &'static str,
    /// The profile that it belongs to.
    pub profile: Profile,
    /// The conditions without which it cannot be run.
    pub needs: &'static [Need],
    pub(super) steps: &'static [Step],
}

impl Case {
    /// The number of processes that it takes, one after the other.
    pub const fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The first of its needs that this runtime and this material do not meet.
    pub fn unmet(&self, stamp: &RuntimeStamp, material: &super::Material) -> Option<&Need> {
        self.needs.iter().find(|need| match need {
            Need::Capability(capability) => !stamp.capabilities.contains(capability),
            Need::Shell => material.shell.is_none(),
            Need::Listener => material.listener.is_none(),
            Need::Connector => material.connector.is_none(),
        })
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}
