//! Records the owner of a workload, once it is decided who that is.
//!
//! `adopt`, `reconcile` and `adopt --rebind` call it under the operation lock. It must not know how the owner was found.
use crate::commands::context::Context;
use crate::commands::lookup::read_run_config;
use serde::Serialize;
use wharf_failpoint::{Point, reach};
use wharf_model::{Error, ErrorKind, Owner, Result, RunConfig};
use wharf_records::OperationLock;

/// A workload whose owner was recorded or moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Adopted {
    /// Its name.
    pub name: String,
    /// The new owner.
    pub runtime_name: String,
    /// Its instance.
    pub runtime_instance: String,
    /// The endpoint.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_endpoint: String,
    /// The former instance, if the owner was moved.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub previous_instance: String,
    /// The former endpoint, if the owner was moved.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub previous_endpoint: String,
    /// The owner was moved, and the supervisor was replaced by one that works there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restarted: bool,
}

/// Under the lock: records the owner, if the RunConfig has not changed since the decision.
pub(crate) fn record_owner(
    context: &Context,
    before: &RunConfig,
    owner: Owner,
    operation: &OperationLock,
) -> Result<Adopted> {
    let name = operation.name();
    let now = read_run_config(context, name)?;
    if now.uid != before.uid || now.owner() != before.owner() {
        let message = format!("'{name}' has changed since its owner was looked for; nothing was changed");
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    reach(Point::RecordOwnerBefore);
    context.store().update_run_config(name, &now.uid, |run| run.set_owner(owner.clone()))?;
    reach(Point::RecordOwnerAfter);
    let previous = before.owner();
    Ok(Adopted {
        name: name.to_string(),
        runtime_name: owner.runtime_name,
        runtime_instance: owner.runtime_instance,
        runtime_endpoint: owner.runtime_endpoint,
        previous_instance: previous.as_ref().map(|it| it.runtime_instance.clone()).unwrap_or_default(),
        previous_endpoint: previous.map(|it| it.runtime_endpoint).unwrap_or_default(),
        restarted: false,
    })
}
