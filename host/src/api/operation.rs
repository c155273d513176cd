//! [`Operation`]: a change that was asked for, as a resource. It goes on when its client is gone.
use crate::api::schemas::Refer;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wharf_model::Error;

/// The kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A workload is created and started.
    Create,
    /// What a workload is, is changed.
    Edit,
    /// An existing workload is started.
    Start,
    /// It is stopped.
    Stop,
    /// It is stopped and started.
    Restart,
    /// It is removed.
    Remove,
    /// A group is made.
    CreateGroup,
    /// A group is removed.
    RemoveGroup,
}

impl Kind {
    /// As it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Edit => "edit",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Remove => "remove",
            Self::CreateGroup => "create_group",
            Self::RemoveGroup => "remove_group",
        }
    }

    /// Whether it can be given up before it is done. What ends something is not given up half way.
    pub(crate) const fn is_cancellable(self) -> bool {
        match self {
            Self::Create | Self::Edit | Self::Start | Self::Restart => true,
            Self::Stop | Self::Remove | Self::CreateGroup | Self::RemoveGroup => false,
        }
    }
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OperationState {
    /// It is under way.
    Running,
    /// It did what was asked.
    Done,
    /// It did not; `error` says why.
    Failed,
    /// It was given up because that was asked for.
    Cancelled,
    /// The server of this API ended before the operation did: its outcome is not known here; the workload's state is.
    Interrupted,
}

impl OperationState {
    /// As it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The present step of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Step {
    /// In words.
    pub(crate) message: String,
    /// So much is done, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) done: Option<u64>,
    /// Of so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<u64>,
}

/// A change that was asked for. Keys are absent when empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Operation {
    /// Its id.
    pub(crate) id: String,
    /// The kind of operation.
    pub(crate) kind: Kind,
    /// To which workloads; of one that is created without a name it is known at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) workloads: Vec<String>,
    /// How far it is.
    pub(crate) state: OperationState,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) requested_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) finished_at: Option<Timestamp>,
    /// Its present step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) progress: Option<Step>,
    /// The outcome, as the command line prints it with `--format json`; of several workloads an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    pub(crate) outcome: Option<serde_json::Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = Refer::error, required = false)]
    pub(crate) error: Option<Error>,
}

impl Operation {
    /// Whether it has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.state != OperationState::Running
    }
}
