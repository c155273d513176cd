//! [`Advice`]: the next steps after a failure, as data.
//!
//! Commands, supervisors and the packages below them name a step; a front end puts it in its own terms: the command line as
//! a command to type, an API as a link, an MCP server as a tool. So nothing outside of a front end may hold the text of a
//! command or the name of an option. It crosses the supervisors' sockets, and is part of `--format json`.
use crate::proxy_auth::ProxyAuth;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One next step. In JSON the member `do` names the step, and the other members its object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Advice {
    /// An action outside of wharf, or a fact: a sentence that makes sense in every front end.
    Note {
        /// The sentence.
        text: String,
    },
    /// Ask for this workload, whose name is close to the one that was asked for.
    AskFor {
        /// Its name.
        name: String,
    },
    /// List all workloads.
    ListWorkloads,
    /// List the runtimes, and the libraries that cannot be used.
    ListRuntimes,
    /// Show what a runtime can do.
    ShowRuntime {
        /// Its name.
        name: String,
    },
    /// Ask each runtime whether it works.
    CheckRuntimes,
    /// Ask one runtime whether it works in one of its places.
    CheckRuntime {
        /// Its name.
        name: String,
        /// Its options that lead to the place.
        options: BTreeMap<String, String>,
    },
    /// Examine the surroundings of all workloads.
    Diagnose,
    /// Try a library again that had ended the process that tried it.
    ForgetVerdict {
        /// Its file.
        path: PathBuf,
    },
    /// Start a workload.
    Start {
        /// Its name.
        name: String,
    },
    /// Stop a workload.
    Stop {
        /// Its name.
        name: String,
    },
    /// Stop a workload and start it.
    Restart {
        /// Its name.
        name: String,
    },
    /// Remove a workload.
    Remove {
        /// Its name.
        name: String,
    },
    /// Remove a workload whose removal was interrupted.
    FinishRemoval {
        /// Its name.
        name: String,
    },
    /// Drop the records of a workload without asking its owner.
    Forget {
        /// Its name.
        name: String,
    },
    /// Remove a resource that has this host's id and belongs to no workload.
    RemoveOrphan {
        /// The runtime that has it.
        runtime: String,
        /// Its uid.
        uid: String,
    },
    /// Read the output of a workload.
    ReadLog {
        /// Its name.
        name: String,
    },
    /// Read the log of a workload's supervisor.
    ReadSupervisorLog {
        /// Its name.
        name: String,
    },
    /// Record the owner of a workload on proof.
    Adopt {
        /// Its name.
        name: String,
    },
    /// Decide by hand to which runtime a workload belongs.
    AdoptByHand {
        /// Its name.
        name: String,
        /// The runtime, where only one comes into question.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runtime: Option<String>,
    },
    /// Move the owner of a workload to the instance of its runtime that answers now.
    Rebind {
        /// Its name.
        name: String,
        /// The runtime.
        runtime: String,
    },
    /// Show the state of a workload.
    ShowStatus {
        /// Its name.
        name: String,
    },
    /// Show the URL at which clients reach a workload.
    ShowUrl {
        /// Its name.
        name: String,
    },
    /// Give a workload's proxy a new secret.
    RotateSecret {
        /// Its name.
        name: String,
    },
    /// Change who may use the proxy of a workload.
    SetAuth {
        /// Its name.
        name: String,
        /// The clients that may use it from then on.
        auth: ProxyAuth,
    },
    /// Import the workloads of ToolHive.
    ImportToolhive,
    /// Repeat the request with this part given, or given another value.
    Choose {
        /// The part of the request.
        setting: Setting,
        /// The new value; none: any other value than now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// A step that this version does not know: a newer supervisor named it. Front ends show nothing for it.
    #[serde(other)]
    Unknown,
}

/// The command that gets a workload on from the state that it is in. The pure functions of this package name it; it becomes
/// advice where the workload's name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Start it; a server that still runs is resumed.
    Start,
    /// Stop it.
    Stop,
    /// Remove it: its removal was interrupted.
    FinishRemoval,
    /// Start it, or remove it: nobody knows which of both was interrupted.
    StartOrRemove,
    /// Import it again, or start it.
    ImportOrStart,
    /// Read what it wrote.
    ReadLog,
}

impl NextStep {
    /// The steps for a workload of this name.
    pub fn advice(self, name: &str) -> Vec<Advice> {
        let (start, name) = (Advice::Start { name: name.to_owned() }, name.to_owned());
        match self {
            Self::Start => vec![start],
            Self::Stop => vec![Advice::Stop { name }],
            Self::FinishRemoval => vec![Advice::FinishRemoval { name }],
            Self::StartOrRemove => vec![start, Advice::Remove { name }],
            Self::ReadLog => vec![Advice::ReadLog { name }],
            Self::ImportOrStart => vec![Advice::ImportToolhive, start],
        }
    }
}

/// A part of a request to create a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// Its name.
    Name,
    /// The runtime that runs it.
    Runtime,
    /// The port of its proxy.
    ProxyPort,
    /// How the server is spoken to.
    Transport,
    /// The path at which an HTTP server serves MCP.
    TargetPath,
    /// The port on which the server listens.
    TargetPort,
    /// The clients that may use the proxy.
    Auth,
    /// The restart policy.
    Restart,
    /// The number of servers for its clients: one, or one for each session.
    Instances,
    /// The capabilities of the kernel that it keeps.
    CapAdd,
    /// Whether an init is the first process of its container.
    NoInit,
}

impl Advice {
    /// Ask a runtime whether it works, in the place that these of its options lead to; ask every runtime where they lead to none.
    pub fn check(runtime: &str, options: BTreeMap<String, String>) -> Self {
        match options.is_empty() {
            true => Self::CheckRuntimes,
            false => Self::CheckRuntime { name: runtime.to_owned(), options },
        }
    }

    /// A sentence that makes sense in every front end.
    pub fn note(text: impl Into<String>) -> Self {
        Self::Note { text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_advice_of_a_newer_version_leaves_the_rest_readable() {
        let text = r#"[{"do":"dance","with":"x"},{"do":"remove","name":"x"}]"#;
        let read: Vec<Advice> = serde_json::from_str(text).unwrap();
        assert_eq!(read, [Advice::Unknown, Advice::Remove { name: "x".to_owned() }]);
    }
}
