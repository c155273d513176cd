//! Orphans: resources that carry this host's id and a uid that no RunConfig has.
//!
//! An unreadable RunConfig has a uid too, which nobody knows. As long as there is one, an orphan may belong to it: it is
//! shown with that doubt, and cannot be removed.
use crate::commands::context::Context;
use crate::commands::forget::{shown, state_word};
use crate::commands::lookup::run_configs;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use wharf_model::{Advice, Resource};
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{RunConfig, Uid, WorkloadName};
use wharf_records::Listing;
use wharf_runtimes::{Observed, Purpose, observe_all};
use wharf_sdk::{ErrorCode, ListQuery, Observation};

/// A resource without a RunConfig.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Orphan {
    /// Its runtime.
    pub runtime_name: String,
    /// The instance of that runtime.
    pub runtime_instance: String,
    /// The uid that it carries.
    pub uid: String,
    /// The runtime's own name for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Its state: created, running, stopped, removing, unknown.
    pub state: &'static str,
    /// The workloads that it may belong to: their RunConfigs cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<WorkloadName>,
}

/// Names an orphan: `RUNTIME/UID`, or `UID` if only one runtime has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanId {
    /// The runtime, if it was named.
    pub runtime: Option<String>,
    /// The uid.
    pub uid: Uid,
}

impl FromStr for OrphanId {
    type Err = wharf_model::IdError;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (runtime, uid) = match text.rsplit_once('/') {
            Some((runtime, uid)) => (Some(runtime.to_owned()), uid),
            None => (None, text),
        };
        Ok(Self { runtime, uid: uid.parse()? })
    }
}

impl fmt::Display for OrphanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.runtime {
            Some(runtime) => write!(formatter, "{runtime}/{}", self.uid),
            None => write!(formatter, "{}", self.uid),
        }
    }
}

/// The uids of all RunConfigs, and the names of those whose uid is unknown.
struct Known {
    uids: BTreeSet<String>,
    doubts: Vec<WorkloadName>,
}

impl Known {
    /// True of what is a workload's, or belongs to one.
    fn has(&self, seen: &Observation) -> bool {
        let parent = seen.parent.as_ref();
        self.uids.contains(&seen.uid) || parent.is_some_and(|parent| self.uids.contains(parent))
    }
}

/// Every orphan of every runtime that answers soon.
pub async fn orphans(context: &Context) -> Result<Vec<Orphan>> {
    let configs = run_configs(context)?;
    let observed = snapshot(context, &configs, &ListQuery::ALL, Purpose::Show).await?;
    orphans_in(context, &observed, &configs)
}

/// The orphans in a snapshot that was begun after these RunConfigs were read.
pub(crate) fn orphans_in(
    context: &Context,
    observed: &Observed,
    configs: &Listing<RunConfig>,
) -> Result<Vec<Orphan>> {
    let before = known(configs);
    let mut found = observed.resources();
    found.retain(|resource| !before.has(&resource.seen));
    if found.is_empty() || context.known_host_id()?.is_empty() {
        return Ok(Vec::new());
    }
    // A workload that was created since has its RunConfig by now, since that is its first file (R01).
    let now = known(&run_configs(context)?);
    found.retain(|resource| !now.has(&resource.seen));
    Ok(found.into_iter().map(|resource| orphan(resource, now.doubts.clone())).collect())
}

/// Removes an orphan through its runtime, by the handle in the runtime's answer.
///
/// # Errors
/// It has a RunConfig or may have one, there are two resources of it, or it is unknown whether there is any: then nothing
/// is changed.
pub async fn remove_orphan(context: &Context, id: &OrphanId) -> Result<Orphan> {
    let configs = run_configs(context)?;
    refuse_known(id, &configs)?;
    let query = ListQuery::one(id.uid.as_str());
    let observed = snapshot(context, &configs, &query, Purpose::Change).await?;
    let is_asked = |name: &str| id.runtime.as_ref().is_none_or(|runtime| runtime == name);
    let mut found = observed.resources();
    found.retain(|it| is_asked(&it.owner.runtime_name) && it.seen.uid == id.uid.as_str());
    if found.len() > 1 {
        let several: Vec<String> =
            found.iter().map(|it| format!("{} in '{}'", shown(&it.seen), it.owner.runtime_name)).collect();
        let message = format!("there are two resources with the uid {}: {}", id.uid, several.join(", "));
        return Err(Error::new(ErrorKind::Conflict, message)
            .hint("name the runtime (RUNTIME/UID), or remove one with the runtime's own tools"));
    }
    let Some(resource) = found.pop() else {
        return Err(not_found(id, observed.silent().filter(|(name, _)| is_asked(name))));
    };
    refuse_child(id, &resource, &configs)?;
    let Some(handle) = resource.seen.handle.clone() else {
        let message = format!("the runtime does not say how to reach {}", shown(&resource.seen));
        return Err(Error::new(ErrorKind::Runtime, message));
    };
    let endpoint = resource.owner.runtime_endpoint.as_str();
    let endpoint = (!endpoint.is_empty()).then_some(endpoint);
    let client =
        context.plugins().connect(&resource.owner.runtime_name, endpoint, &context.known_host_id()?).await?;
    if client.instance().await?.instance != resource.owner.runtime_instance {
        let message = format!("the runtime '{}' is another instance by now", resource.owner.runtime_name);
        return Err(Error::new(ErrorKind::Owner, message));
    }
    refuse_known(id, &run_configs(context)?)?;
    match client.remove(&handle).await {
        Err(error) if error.code() != Some(ErrorCode::NotFound) => return Err(error.into()),
        _ => {}
    }
    let host_id = context.known_host_id()?;
    let (instance, left) = client.look(&host_id, id.uid.as_str(), Purpose::Change).await?;
    if left.is_some() {
        let message = format!("the runtime still has {}", shown(&resource.seen));
        return Err(Error::new(ErrorKind::Runtime, message));
    }
    if instance != resource.owner.runtime_instance {
        let message = format!(
            "the runtime '{}' became another instance meanwhile: whether '{id}' was removed is not known",
            resource.owner.runtime_name
        );
        return Err(Error::new(ErrorKind::Deadline, message));
    }
    Ok(orphan(resource, Vec::new()))
}

async fn snapshot(
    context: &Context,
    configs: &Listing<RunConfig>,
    query: &ListQuery,
    purpose: Purpose,
) -> Result<Observed> {
    let host_id = context.known_host_id()?;
    let readable = configs.iter().filter_map(|(_, config)| config.as_ref().ok());
    Ok(observe_all(context.plugins(), &host_id, readable, query, purpose).await)
}

fn known(configs: &Listing<RunConfig>) -> Known {
    let mut known = Known { uids: BTreeSet::new(), doubts: Vec::new() };
    for (name, config) in configs {
        match config {
            Ok(config) => {
                known.uids.insert(config.uid.to_string());
            }
            // Its status may have the uid, but may also be of another creation; so the uid counts as unknown.
            Err(_) => known.doubts.push(name.clone()),
        }
    }
    known
}

fn refuse_known(id: &OrphanId, configs: &Listing<RunConfig>) -> Result<()> {
    let owner = configs
        .iter()
        .find(|(_, config)| config.as_ref().is_ok_and(|config| config.uid == id.uid))
        .map(|(name, _)| name);
    if let Some(name) = owner {
        let message = format!("'{id}' is no orphan: it is the workload '{name}'");
        return Err(
            Error::new(ErrorKind::Conflict, message).advise(Advice::Remove { name: name.to_string() })
        );
    }
    if let Some(name) = known(configs).doubts.first() {
        let message = format!("'{id}' may be the workload '{name}', whose RunConfig cannot be read");
        return Err(Error::new(ErrorKind::Conflict, message)
            .hint("mend that file")
            .advise(Advice::Forget { name: name.to_string() }));
    }
    Ok(())
}

/// Refuses the server of a session: it is removed with its workload.
fn refuse_child(id: &OrphanId, resource: &Resource, configs: &Listing<RunConfig>) -> Result<()> {
    let Some(parent) = &resource.seen.parent else { return Ok(()) };
    let is_parent = |config: &RunConfig| config.uid.as_str() == parent;
    let found = configs.iter().find(|(_, config)| config.as_ref().is_ok_and(is_parent));
    let Some((name, _)) = found else { return Ok(()) };
    let message = format!("'{id}' is no orphan: it serves a session of the workload '{name}'");
    Err(Error::new(ErrorKind::Conflict, message).advise(Advice::Stop { name: name.to_string() }))
}

fn orphan(resource: Resource, doubts: Vec<WorkloadName>) -> Orphan {
    Orphan {
        runtime_name: resource.owner.runtime_name,
        runtime_instance: resource.owner.runtime_instance,
        uid: resource.seen.uid,
        object: resource.seen.object,
        state: state_word(resource.seen.state),
        doubts,
    }
}

fn not_found<'a>(id: &OrphanId, silent: impl Iterator<Item = (&'a str, &'a str)>) -> Error {
    let reasons: BTreeSet<&str> = silent.map(|(_, reason)| reason).collect();
    if reasons.is_empty() {
        return Error::new(ErrorKind::NotFound, format!("there is no resource '{id}' of this host"))
            .advise(Advice::ListWorkloads)
            .advise(Advice::Diagnose);
    }
    let reasons = reasons.into_iter().collect::<Vec<_>>().join("; ");
    Error::new(ErrorKind::Owner, format!("whether there is a resource '{id}' is not known: {reasons}"))
}

impl Orphan {
    /// The step that removes it, if it is certainly an orphan.
    pub fn advice(&self) -> Vec<Advice> {
        let remove = Advice::RemoveOrphan { runtime: self.runtime_name.clone(), uid: self.uid.clone() };
        if self.doubts.is_empty() { vec![remove] } else { Vec::new() }
    }

    /// An explanation in words.
    pub fn explanation(&self) -> String {
        let doubts: Vec<&str> = self.doubts.iter().map(WorkloadName::as_str).collect();
        if doubts.is_empty() {
            "an orphan: no RunConfig has its uid".to_owned()
        } else {
            format!(
                "an orphan, unless it belongs to a workload whose RunConfig cannot be read ({})",
                doubts.join(", ")
            )
        }
    }

    /// `RUNTIME/UID`, the form of [`OrphanId`].
    pub fn id(&self) -> String {
        format!("{}/{}", self.runtime_name, self.uid)
    }
}
