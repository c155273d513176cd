//! What an import says about each workload of another product.
use serde::Serialize;
use wharf_model::{Advice, Error, Owner};
use wharf_sdk::WorkloadState;

/// What became of one workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// What it is called there; the name of a file that cannot be understood.
    pub source: String,
    /// What was done, in one word.
    pub result: ImportResult,
    /// Its name in wharf.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The runtime that proved it to be its own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_name: String,
    /// The instance of that runtime.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_instance: String,
    /// The original's container there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// What that was doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<WorkloadState>,
    /// What is not as it was there, and what to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// What stays with that product, and how it is ended there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<String>,
    /// Fields that wharf keeps and does not implement.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_implemented: Vec<String>,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// What was done about a workload, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportResult {
    /// There is a copy of it now.
    Imported,
    /// It would be, were this not a rehearsal.
    WouldImport,
    /// Nothing: wharf has it, or something else of its name.
    Skipped,
    /// Nothing: several runtimes have something of it, or one has several.
    Ambiguous,
    /// Nothing: no runtime has it, or one that may have it gave no answer.
    OwnerUnknown,
    /// Nothing: this version of wharf cannot have it.
    LeftAlone,
    /// Nothing: its file cannot be read or understood.
    Malformed,
    /// It could not be done.
    Failed,
}

impl ImportResult {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::WouldImport => "would be imported",
            Self::Skipped => "skipped",
            Self::Ambiguous => "ambiguous",
            Self::OwnerUnknown => "owner unknown",
            Self::LeftAlone => "left alone",
            Self::Malformed => "malformed",
            Self::Failed => "failed",
        }
    }
}

impl Import {
    /// Nothing more than why.
    pub(crate) fn of(source: &str, result: ImportResult, reason: impl Into<String>) -> Self {
        Self {
            source: source.to_owned(),
            result,
            name: String::new(),
            reason: reason.into(),
            runtime_name: String::new(),
            runtime_instance: String::new(),
            object: String::new(),
            state: None,
            changed: Vec::new(),
            stays: Vec::new(),
            advice: Vec::new(),
            not_implemented: Vec::new(),
            error: None,
        }
    }

    /// A failure.
    pub(crate) fn failed(source: &str, error: Error) -> Self {
        Self { error: Some(error), ..Self::of(source, ImportResult::Failed, "") }
    }

    /// With where it is.
    pub(crate) fn at(mut self, owner: &Owner, object: &str, state: WorkloadState) -> Self {
        self.runtime_name.clone_from(&owner.runtime_name);
        self.runtime_instance.clone_from(&owner.runtime_instance);
        object.clone_into(&mut self.object);
        self.state = Some(state);
        self
    }
}
