//! The steps that get somebody on after a failure, as data.
//!
//! Commands, supervisors and the packages below them name a step; a front end says it in its own terms: the command line
//! as a command to type, an API as a link, an MCP server as a tool. So nothing outside of a front end may hold the text
//! of a command or the name of an option. It crosses the supervisors' sockets, and is part of `--format json`.
use crate::proxy_auth::ProxyAuth;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One step that gets somebody on. In JSON the member `do` says which, and the others what it is done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Advice {
    /// Something outside of wharf, or something to know: a sentence that holds in every front end.
    Note {
        /// The sentence.
        text: String,
    },
    /// Ask for this workload, whose name is much like the one that was asked for.
    AskFor {
        /// Its name.
        name: String,
    },
    /// Look at all workloads.
    ListWorkloads,
    /// Look at the runtimes, and at the libraries that cannot be used.
    ListRuntimes,
    /// Look at what a runtime can do.
    ShowRuntime {
        /// Its name.
        name: String,
    },
    /// Ask each runtime how it is.
    CheckRuntimes,
    /// Have everything around the workloads examined.
    Diagnose,
    /// Try a library again that ended the process that tried it.
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
    /// Read what a workload has written.
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
    /// Look where clients reach a workload.
    ShowUrl {
        /// Its name.
        name: String,
    },
    /// Give a workload's proxy a new secret.
    RotateSecret {
        /// Its name.
        name: String,
    },
    /// Change whom the proxy of a workload serves.
    SetAuth {
        /// Its name.
        name: String,
        /// Whom from then on.
        auth: ProxyAuth,
    },
    /// Import the workloads of ToolHive.
    ImportToolhive,
    /// Ask for the same with this part of the request said, or said otherwise.
    Choose {
        /// Which part of it.
        setting: Setting,
        /// What to say; something else than now where nothing is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// A step that this version does not know: a supervisor of a newer one named it. Front ends show nothing for it.
    #[serde(other)]
    Unknown,
}

/// A part of a request to create a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// Its name.
    Name,
    /// The port of its proxy.
    ProxyPort,
    /// The port on which the server listens.
    TargetPort,
    /// Whom the proxy serves.
    Auth,
    /// When it is started again after its end.
    Restart,
}

impl Advice {
    /// A sentence that holds in every front end.
    pub fn note(text: impl Into<String>) -> Self {
        Self::Note { text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_a_newer_version_spoils_nothing_around_it() {
        let text = r#"[{"do":"dance","with":"x"},{"do":"remove","name":"x"}]"#;
        let read: Vec<Advice> = serde_json::from_str(text).unwrap();
        assert_eq!(read, [Advice::Unknown, Advice::Remove { name: "x".to_owned() }]);
    }
}
