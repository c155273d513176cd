//! [`Import`]: the report about one workload of another product. Front ends show it.
use serde::Serialize;
use wharf_model::{Advice, Error, Owner};
use wharf_sdk::WorkloadState;

/// The outcome for one workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Import {
    /// Its name in the other product; for an unreadable file, the name of the file.
    pub source: String,
    /// The outcome in one word.
    pub result: ImportResult,
    /// Its name in wharf.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The reason.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The runtime that proved to have the original.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_name: String,
    /// The instance of that runtime.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_instance: String,
    /// The original's container there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// The state of that container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<WorkloadState>,
    /// The differences from the original, and other remarks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// The resources that stay with the other product, and how to end them there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<String>,
    /// Why the copy cannot be started as it is; empty where nothing speaks against it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub would_not_start: String,
    /// It would start with what can be enforced.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub would_start_weaker: bool,
    /// Fields that wharf keeps and does not implement.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_implemented: Vec<String>,
    /// The next steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
    /// The failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// The outcome for a workload, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ImportResult {
    /// A copy was made.
    Imported,
    /// A copy would be made; this is a rehearsal.
    WouldImport,
    /// Nothing was done: wharf has a copy already, or another workload has its name.
    Skipped,
    /// Nothing was done: several runtimes have a container of it, or one runtime has several.
    Ambiguous,
    /// Nothing was done: no runtime has it, or one that may have it gave no answer.
    OwnerUnknown,
    /// Nothing was done: this version of wharf cannot run it.
    LeftAlone,
    /// Nothing was done: its file cannot be read or understood.
    Malformed,
    /// The import failed.
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
    /// A report with only a reason.
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
            would_not_start: String::new(),
            would_start_weaker: false,
            advice: Vec::new(),
            not_implemented: Vec::new(),
            error: None,
        }
    }

    /// A report of a failure.
    pub(crate) fn failed(source: &str, error: Error) -> Self {
        Self { error: Some(error), ..Self::of(source, ImportResult::Failed, "") }
    }

    /// Adds the original's container and its owner.
    pub(crate) fn at(mut self, owner: &Owner, object: &str, state: WorkloadState) -> Self {
        self.runtime_name.clone_from(&owner.runtime_name);
        self.runtime_instance.clone_from(&owner.runtime_instance);
        object.clone_into(&mut self.object);
        self.state = Some(state);
        self
    }
}
