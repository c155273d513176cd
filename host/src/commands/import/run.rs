//! `import`: makes copies of ToolHive's workloads, each if exactly one engine proves to have the original (R07).
//!
//! Nothing of ToolHive's is written, started, stopped or removed: the copy is a workload of its own, stopped, whose owner
//! is the engine that has the original's container. The labels of ToolHive's containers, together with the answers of all
//! runtimes, decide which engine that is; ToolHive's own records only say how to run the workload.
use crate::commands::context::Context;
use crate::commands::create::{enter, record_first};
use crate::commands::discovery::{ForeignDiscovery, discover_foreign};
use crate::commands::import::report::{Import, ImportResult};
use crate::commands::import::toolhive;
use crate::commands::import::toolhive::{Entry, File, Group, PRODUCT, Translation};
use crate::commands::locking::lock_operation;
use crate::commands::lookup::{read_record, read_run_config, run_configs, way_on};
use std::collections::{BTreeMap, BTreeSet};
use wharf_failpoint::{Point, reach};
use wharf_model::{Claim, EARLIER_IMPORT, Resource};
use wharf_model::{Desired, Imported, Owner, Phase, RunConfig, StatusRecord, Uid, WorkloadName};
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::{OperationLock, ReadError, StoreError};
use wharf_runtimes::ForeignResource;
use wharf_sdk::{ErrorCode, LabelSelector, WorkloadState};
use wharf_supervisor::specification;

/// Everything that is known before the runtimes are asked.
struct Known<'a> {
    folders: &'a toolhive::Folders,
    groups: BTreeMap<String, std::result::Result<Group, String>>,
    configs: Vec<(WorkloadName, std::result::Result<RunConfig, ReadError>)>,
    is_dry: bool,
    /// Names that a rehearsal has used.
    given: BTreeSet<String>,
}

impl Known<'_> {
    /// The copy of this workload, if there is one.
    fn imported(&self, name: &str) -> Option<&RunConfig> {
        let mut readable = self.configs.iter().filter_map(|(_, config)| config.as_ref().ok());
        readable.find(|config| is_of(config, name))
    }

    fn is_taken(&self, name: &WorkloadName) -> bool {
        self.given.contains(name.as_str()) || self.configs.iter().any(|(other, _)| other == name)
    }
}

fn is_of(config: &RunConfig, name: &str) -> bool {
    config.imported.as_ref().is_some_and(|imported| imported.from == PRODUCT && imported.name == name)
}

/// Copies the workloads of the ToolHive whose files lie in these folders, and reports the outcome for each. With `is_dry`,
/// reports what would be done, and writes nothing.
///
/// # Errors
/// ToolHive's folders, or wharf's records, cannot be read at all. A failure of one workload is in its report.
pub async fn import_toolhive(
    context: &Context,
    folders: &toolhive::Folders,
    is_dry: bool,
) -> Result<Vec<Import>> {
    // First of all: inside a workload that hides wharf's records, the files of ToolHive may be hidden, too, and the error
    // should name the cause.
    let configs = run_configs(context)?;
    if folders.state.is_none() {
        let message = "neither XDG_STATE_HOME nor HOME says where ToolHive keeps its workloads";
        return Err(Error::new(ErrorKind::Failed, message).hint("set HOME"));
    }
    let mut entries = toolhive::read(folders)?;
    // Workloads that can keep their names come first, so that the new name of another one does not take theirs.
    entries.sort_by_key(|entry| (!toolhive::is_name(&entry.name), entry.name.clone()));
    let groups = toolhive::read_groups(folders)?;
    let mut known = Known { folders, groups, configs, is_dry, given: BTreeSet::new() };
    let mut reports = Vec::new();
    let mut candidates = Vec::new();
    for Entry { name, file } in &entries {
        match file {
            Err(why) => reports.push(Import::of(name, ImportResult::Malformed, why.clone())),
            Ok(file) => match before_asking(context, name, file, &known).await {
                Some(report) => reports.push(report),
                None => candidates.push((name.as_str(), file)),
            },
        }
    }
    let bad_groups = known.groups.iter().filter_map(|(name, group)| Some((name, group.as_ref().err()?)));
    reports.extend(
        bad_groups.map(|(name, why)| {
            Import::of(&format!("groups/{name}.json"), ImportResult::Malformed, why.clone())
        }),
    );
    if !candidates.is_empty() {
        if !is_dry {
            // The host id must exist, since runtimes are connected with it.
            context.host_id()?;
        }
        let discover = discover_foreign(context, &mark()).await?;
        for (name, file) in candidates {
            let report = import_one(context, name, file, &discover, &known).await;
            let report = report.unwrap_or_else(|error| Import::failed(name, error));
            if is_dry {
                known.given.insert(report.name.clone());
            } else {
                known.configs = run_configs(context)?;
            }
            reports.push(report);
        }
        reports.extend(without_config(&discover, &entries));
    }
    reports.sort_by(|a, b| a.source.cmp(&b.source));
    Ok(reports)
}

/// The report on a workload for which no runtime needs to be asked.
async fn before_asking(context: &Context, name: &str, file: &File, known: &Known<'_>) -> Option<Import> {
    if let Some(run) = known.imported(name) {
        return Some(imported_before(context, name, run, known).await);
    }
    if toolhive::is_name(name) && known.configs.iter().any(|(other, _)| other.as_str() == name) {
        let reason = "wharf has another workload of that name; remove that one first, or leave this one";
        return Some(Import::of(name, ImportResult::Skipped, reason));
    }
    let translated = translated(name, file).err()?;
    Some(match translated {
        Ok(refusal) => Import::of(name, ImportResult::LeftAlone, refusal.to_string()),
        Err(error) => Import::failed(name, error),
    })
}

/// Reports a workload that has a copy. An import that ended between its two files is finished here: the RunConfig has
/// everything that the status record needs.
async fn imported_before(context: &Context, name: &str, run: &RunConfig, known: &Known<'_>) -> Import {
    let missing = context.store().read_status(&run.name).is_err_and(|error| error.is_not_found());
    let skipped = |reason: &str| Import {
        name: run.name.to_string(),
        ..Import::of(name, ImportResult::Skipped, reason)
    };
    if run.is_of_earlier_import() {
        return Import { advice: way_on(run), ..skipped(EARLIER_IMPORT) };
    }
    if !missing {
        return skipped("it was imported before");
    }
    if known.is_dry {
        return Import { result: ImportResult::WouldImport, ..skipped("its import was interrupted") };
    }
    match finish(context, run).await {
        Ok(true) => {
            let reason = "its import was interrupted, and is finished now";
            let report = Import { result: ImportResult::Imported, ..skipped(reason) };
            Import {
                runtime_name: run.runtime_name.clone(),
                runtime_instance: run.runtime_instance.clone(),
                ..report
            }
        }
        Ok(false) => skipped("it was imported before"),
        Err(error) => Import { name: run.name.to_string(), ..Import::failed(name, error) },
    }
}

/// Writes the second file of an import; false if another command has done so.
async fn finish(context: &Context, run: &RunConfig) -> Result<bool> {
    let operation = lock_operation(context, &run.name).await?;
    let now = read_run_config(context, &run.name)?;
    if now.uid != run.uid || read_record(context, &run.name)?.is_some() {
        return Ok(false);
    }
    record_import(context, run, None, &operation)?;
    Ok(true)
}

async fn import_one(
    context: &Context,
    name: &str,
    file: &File,
    discover: &ForeignDiscovery,
    known: &Known<'_>,
) -> Result<Import> {
    let is_meant = |foreign: &ForeignResource| {
        toolhive::is_workload(&foreign.labels)
            && foreign.labels.get(toolhive::BASE_NAME).is_some_and(|base| base == name)
    };
    let claim = discover.claim(is_meant);
    let proven = match &claim {
        Claim::Proven(proven) => proven,
        Claim::Ambiguous(_) => return Ok(Import::of(name, ImportResult::Ambiguous, claim.to_string())),
        Claim::Unknown | Claim::Undecided(_) => {
            return Ok(Import::of(name, ImportResult::OwnerUnknown, claim.to_string()));
        }
    };
    let (object, state) = (proven.seen.object.as_str(), proven.seen.state);
    let Ok(mut translation) = translated(name, file) else {
        return Ok(Import::of(name, ImportResult::LeftAlone, "it cannot be translated"));
    };
    let status = toolhive::read_status(known.folders, name);
    match &status {
        Ok(status) => translation.run.created_at = status.as_ref().and_then(|status| status.created_at),
        Err(why) => {
            translation.changed.push(format!("created_at: unknown, because its status file {why}"));
        }
    }
    let remarks = remarks(&translation, known);
    translation.changed.extend(remarks);
    let Translation { changed, not_implemented, .. } = &translation;
    let mut report = Import {
        changed: changed.clone(),
        stays: what_stays(name, proven),
        not_implemented: not_implemented.clone(),
        ..Import::of(name, ImportResult::WouldImport, "").at(&proven.owner, object, state)
    };
    report.would_not_start = fault(context, &translation.run, &proven.owner).await.unwrap_or_default();
    if !report.would_not_start.is_empty() {
        let weaker = RunConfig { allow_weaker: true, ..translation.run.clone() };
        report.would_start_weaker = fault(context, &weaker, &proven.owner).await.is_none();
    }
    if known.is_dry {
        let free = toolhive::candidates(name).into_iter().find(|name| !known.is_taken(name));
        report.name = free.map(|name| name.to_string()).unwrap_or_default();
        return Ok(report);
    }
    match take_in(context, name, translation, proven).await? {
        Some(taken) => (report.name, report.result) = (taken.to_string(), ImportResult::Imported),
        None => {
            report.result = ImportResult::Skipped;
            "its name has been taken meanwhile".clone_into(&mut report.reason);
        }
    }
    Ok(report)
}

/// The reason for which the copy's runtime would refuse to start it; none if it would not, or cannot say.
async fn fault(context: &Context, run: &RunConfig, owner: &Owner) -> Option<String> {
    let endpoint = (!owner.runtime_endpoint.is_empty()).then_some(owner.runtime_endpoint.as_str());
    let host_id = context.known_host_id().ok()?;
    let client = context.plugins().connect(&owner.runtime_name, endpoint, &host_id).await.ok()?;
    let spec = specification(context.config(), run, client.stamp(), &host_id, run.target_port.max(1));
    let spec = match spec {
        Ok(spec) => spec,
        Err(error) => return Some(error.message),
    };
    match client.validate(&spec).await {
        Err(error) if error.code().is_some_and(|code| code != ErrorCode::Unavailable) => {
            Some(Error::from(error).message)
        }
        Ok(()) | Err(_) => None,
    }
}

/// Writes the records of a copy under the first free name; none if another import was faster.
async fn take_in(
    context: &Context,
    source: &str,
    translation: Translation,
    proven: &Resource,
) -> Result<Option<WorkloadName>> {
    let Translation { mut run, kept, .. } = translation;
    run.set_owner(present_owner(context, &proven.owner).await?);
    run.imported = Some(Imported { from: PRODUCT.to_owned(), name: source.to_owned(), handle: None });
    for name in toolhive::candidates(source) {
        let operation = lock_operation(context, &name).await?;
        match context.store().read_run_config(&name) {
            Err(error) if error.is_not_found() => {}
            Ok(there) if is_of(&there, source) => return Ok(None),
            _ => continue,
        }
        // Under the lock: the engine that was asked must still have the original (R07).
        prove_still_there(context, proven).await?;
        run.name = name.clone();
        match enter(context, &run, &kept) {
            Err(StoreError::AlreadyExists { .. }) => continue,
            other => other?,
        }
        record_import(context, &run, run.created_at, &operation)?;
        return Ok(Some(name));
    }
    Ok(None)
}

/// The owner with its endpoint: a runtime that was asked without one is asked which endpoint it uses.
async fn present_owner(context: &Context, proven: &Owner) -> Result<Owner> {
    if !proven.runtime_endpoint.is_empty() {
        return Ok(proven.clone());
    }
    let client = context.plugins().connect(&proven.runtime_name, None, &context.known_host_id()?).await?;
    let now = client.instance().await?;
    if now.instance != proven.runtime_instance {
        let message = format!("another instance of '{}' answers now: {}", proven.runtime_name, now.instance);
        return Err(Error::new(ErrorKind::Owner, message).hint("nothing was changed"));
    }
    Ok(Owner { runtime_endpoint: now.endpoint, ..proven.clone() })
}

/// Proves that the engine still has the original.
async fn prove_still_there(context: &Context, proven: &Resource) -> Result<()> {
    let Owner { runtime_name, runtime_instance, runtime_endpoint } = &proven.owner;
    let endpoint = (!runtime_endpoint.is_empty()).then_some(runtime_endpoint.as_str());
    let client = context.plugins().connect(runtime_name, endpoint, &context.known_host_id()?).await?;
    let found = client.discover(&mark()).await?;
    let is_there = found.resources.iter().any(|foreign| foreign.object == proven.seen.object);
    if found.instance == *runtime_instance && is_there {
        return Ok(());
    }
    let message = format!("the runtime '{runtime_name}' does not show {} any more", proven.seen.object);
    Err(Error::new(ErrorKind::Owner, message).hint("nothing was changed"))
}

/// The label that all of ToolHive's containers have.
fn mark() -> LabelSelector {
    let (name, value) = toolhive::MARK;
    LabelSelector { labels: BTreeMap::from([(name.to_owned(), value.to_owned())]) }
}

/// Writes the status record of a copy: stopped, and not wanted. The caller holds the operation lock.
fn record_import(
    context: &Context,
    run: &RunConfig,
    created_at: Option<jiff::Timestamp>,
    _operation: &OperationLock,
) -> Result<()> {
    let mut record = StatusRecord::new(run.uid.clone());
    (record.phase, record.desired) = (Phase::Stopped, Desired::Stopped);
    record.created_at = created_at.unwrap_or(record.created_at);
    record_first(context, run, record)?;
    reach(Point::ImportRecorded);
    Ok(())
}

/// The translation under a name and a uid of its own, or the refusal.
fn translated(
    name: &str,
    file: &File,
) -> std::result::Result<Translation, std::result::Result<toolhive::Refusal, Error>> {
    let uid = Uid::random()
        .map_err(|error| Err(Error::caused(ErrorKind::Failed, "no random uid can be made", &error)))?;
    let wanted = toolhive::candidates(name).into_iter().next();
    let wanted = wanted.ok_or_else(|| Err(Error::new(ErrorKind::Failed, "it cannot be named")))?;
    toolhive::translate(file, wanted, uid).map_err(Ok)
}

/// Sentences for the report: what stays with ToolHive, how to end it there, and what a copy lacks.
fn what_stays(name: &str, proven: &Resource) -> Vec<String> {
    let is_running = proven.seen.state == WorkloadState::Running;
    let object = &proven.seen.object;
    let mut stays = vec![match is_running {
        true => format!(
            "its container ({object}) runs on with ToolHive, as does its proxy; to end them: thv stop {name}"
        ),
        false => format!("its container ({object}) stays with ToolHive, stopped"),
    }];
    stays.push(format!(
        "what was written inside that container is not in the copy; to remove it: thv rm {name}"
    ));
    stays
}

/// Remarks on a copy for the report.
fn remarks(translation: &Translation, known: &Known<'_>) -> Vec<String> {
    let run = &translation.run;
    let mut remarks = Vec::new();
    if !run.volumes.is_empty() {
        remarks.push("volumes: the copy has the same ones; do not let both run at the same time".to_owned());
    }
    match known.groups.get(&run.group) {
        Some(Ok(group)) if !group.registered_clients.is_empty() => remarks.push(format!(
            "group: its clients ({}) are not registered anew; give them the URL",
            group.registered_clients.join(", ")
        )),
        _ => {}
    }
    remarks
}

/// Reports on containers of workloads that ToolHive has no RunConfig of any more.
fn without_config(discover: &ForeignDiscovery, entries: &[Entry]) -> Vec<Import> {
    let named: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let workloads = discover.resources().iter().filter(|foreign| toolhive::is_workload(&foreign.labels));
    workloads
        .filter_map(|ForeignResource { resource, labels }| {
            let base = labels.get(toolhive::BASE_NAME)?;
            let unknown = !named.contains(base.as_str());
            let reason = "ToolHive has a container of it and no run config";
            unknown.then(|| {
                let report = Import::of(base, ImportResult::LeftAlone, reason);
                report.at(&resource.owner, &resource.seen.object, resource.seen.state)
            })
        })
        .collect()
}
