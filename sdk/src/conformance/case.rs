//! What a case is: a sentence of the contract, how it is tried, and what it cannot do without.
use super::breach::Checked;
use super::fixture::Fixture;
use crate::Capability;
use crate::stamp::RuntimeStamp;
use serde::{Deserialize, Serialize};
use std::{future::Future, pin::Pin};

/// What a runtime claims as a whole, and is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// What every runtime does.
    Core,
    /// How workloads end.
    Exit,
    /// The logs of workloads.
    Logs,
    /// Their stdin and stdout.
    Attach,
    /// What goes on when a process of the host ends.
    Recover,
    /// Ports.
    Ports,
    /// Connections to ports that the runtime carries.
    Dial,
    /// Limits of resources.
    Limits,
    /// Permission profiles.
    Permissions,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Core,
        Self::Exit,
        Self::Logs,
        Self::Attach,
        Self::Recover,
        Self::Ports,
        Self::Dial,
        Self::Limits,
        Self::Permissions,
    ];

    /// Its name, with which the ids of its cases begin.
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
        }
    }
}

/// What a case cannot do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// The runtime must claim this.
    Capability(Capability),
    /// The material must be a shell.
    Shell,
    /// The material must have something that listens.
    Listener,
    /// The material must have something that connects.
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

/// A part of a case, to be run in a process of its own.
pub(super) type Step = for<'a> fn(&'a Fixture) -> Pin<Box<dyn Future<Output = Checked> + 'a>>;

/// A sentence of the contract, and how it is tried.
pub struct Case {
    /// What it is called: its profile, a full stop, and words.
    pub id: &'static str,
    /// The sentence.
    pub sentence: &'static str,
    /// The profile that it belongs to.
    pub profile: Profile,
    /// What it cannot do without.
    pub needs: &'static [Need],
    pub(super) steps: &'static [Step],
}

impl Case {
    /// How many processes it takes, one after the other.
    pub const fn steps(&self) -> usize {
        self.steps.len()
    }

    /// What of its needs a runtime and what it is to run do not meet.
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
