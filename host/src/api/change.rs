//! [`Change`]: what a client asks to be changed, in the types of the command layer.
use crate::api::create_request::CreateRequest;
use crate::api::operation::Kind;
use serde::Serialize;
use std::time::Duration;
use wharf_model::{Result, WorkloadName};

/// A change. Equal requests are written the same, so that a repeated one is recognised.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// A workload is created.
    Create(Box<CreateRequest>),
    /// A workload that exists becomes what this describes.
    Edit(WorkloadName, Box<CreateRequest>, Duration),
    /// Something is done with one that exists.
    One(Kind, WorkloadName, Duration),
    /// The same with several.
    Several(Kind, Vec<WorkloadName>, Duration),
    /// A group is made.
    CreateGroup(String),
    /// A group is removed, with these workloads in it or without; they are listed under the default one then.
    RemoveGroup(String, bool),
}

impl Change {
    /// The same, for who makes a change of a request only when it is not a repeated one.
    pub(crate) fn as_it_is(&self) -> impl FnOnce() -> Result<Self> + use<> {
        let change = self.clone();
        move || Ok(change)
    }

    /// The kind of change.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Create(_) => Kind::Create,
            Self::Edit(..) => Kind::Edit,
            Self::One(kind, ..) | Self::Several(kind, ..) => *kind,
            Self::CreateGroup(_) => Kind::CreateGroup,
            Self::RemoveGroup(..) => Kind::RemoveGroup,
        }
    }

    /// With which workloads, as far as that is known.
    pub(crate) fn workloads(&self) -> Vec<String> {
        match self {
            Self::Create(request) => request.name.iter().cloned().collect(),
            Self::Edit(name, ..) | Self::One(_, name, _) => vec![name.to_string()],
            Self::Several(_, names, _) => names.iter().map(ToString::to_string).collect(),
            Self::CreateGroup(_) | Self::RemoveGroup(..) => Vec::new(),
        }
    }

    /// Whether it ends something: that is always possible, also where much else is under way, or a disk is full.
    pub(crate) fn ends_something(&self) -> bool {
        matches!(self.kind(), Kind::Stop | Kind::Remove)
    }

    /// The server that is asked for, without names, variables or arguments: for the audit log.
    pub(crate) fn server(&self) -> Option<String> {
        match self {
            Self::Create(request) | Self::Edit(_, request, _) => {
                request.server.clone().filter(|server| !server.is_empty()).or_else(|| request.image.clone())
            }
            Self::One(..) | Self::Several(..) | Self::CreateGroup(_) | Self::RemoveGroup(..) => None,
        }
    }

    /// Whether it can be given up before it is done.
    pub(crate) fn is_cancellable(&self) -> bool {
        match self {
            Self::Create(_) | Self::Edit(..) => true,
            Self::One(kind, ..) => kind.is_cancellable(),
            Self::Several(kind, ..) => kind.is_cancellable(),
            Self::CreateGroup(_) | Self::RemoveGroup(..) => false,
        }
    }
}
