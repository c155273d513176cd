//! [`Change`]: what a client asks to be changed, in the types of the command layer.
use crate::api::create_request::CreateRequest;
use crate::api::operation::Kind;
use serde::Serialize;
use std::time::Duration;
use wharf_model::WorkloadName;

/// A change. Equal requests are written the same, so that a repeated one is recognised.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// A workload is created.
    Create(Box<CreateRequest>),
    /// Something is done with one that exists.
    One(Kind, WorkloadName, Duration),
    /// The same with several.
    Several(Kind, Vec<WorkloadName>, Duration),
}

impl Change {
    /// The kind of change.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Create(_) => Kind::Create,
            Self::One(kind, ..) | Self::Several(kind, ..) => *kind,
        }
    }

    /// With which workloads, as far as that is known.
    pub(crate) fn workloads(&self) -> Vec<String> {
        match self {
            Self::Create(request) => request.name.iter().cloned().collect(),
            Self::One(_, name, _) => vec![name.to_string()],
            Self::Several(_, names, _) => names.iter().map(ToString::to_string).collect(),
        }
    }

    /// Whether it can be given up before it is done.
    pub(crate) fn is_cancellable(&self) -> bool {
        match self {
            Self::Create(_) => true,
            Self::One(kind, ..) => kind.is_cancellable(),
            // Each of them goes its own way.
            Self::Several(..) => false,
        }
    }
}
