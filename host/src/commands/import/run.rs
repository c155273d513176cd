//! `import`: ToolHive's workloads become wharf's, where exactly one engine proves to have them (R07).
//!
//! Nothing of ToolHive's is written, and nothing is started or stopped. Whose a container is, what ToolHive's labels say
//! together with everybody's answer decides; its own records are believed about what a workload is, and about nothing
//! else. What was taken over is found by its handle alone until wharf makes it anew.
use crate::commands::context::Manager;
use crate::commands::discovery::ForeignDiscovery;
use crate::commands::import::report::{Import, ImportResult};
use crate::commands::import::toolhive;
use crate::commands::import::toolhive::{Entry, File, Group, PRODUCT, Translation};
use std::collections::{BTreeMap, BTreeSet};
use wharf_failpoint::{Point, reach};
use wharf_model::{Claim, Resource};
use wharf_model::{Desired, Imported, Opaque, Owner, Phase, RunConfig, StatusRecord, Uid, WorkloadName};
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::{OperationLock, ReadError, StoreError};
use wharf_runtimes::ForeignResource;
use wharf_runtimes::connect_owner;
use wharf_sdk::{Handle, Observation, WorkloadState};

/// Everything that is known before somebody is asked.
struct Known<'a> {
    folders: &'a toolhive::Folders,
    groups: BTreeMap<String, std::result::Result<Group, String>>,
    configs: Vec<(WorkloadName, std::result::Result<RunConfig, ReadError>)>,
    is_dry: bool,
    /// Names that a rehearsal has given away.
    given: BTreeSet<String>,
}

impl Known<'_> {
    /// The workload that this one became.
    fn imported(&self, name: &str) -> Option<&RunConfig> {
        let mut readable = self.configs.iter().filter_map(|(_, config)| config.as_ref().ok());
        readable.find(|config| is_of(config, name))
    }

    /// The workload that a container was taken over for.
    fn taken(&self, resource: &Resource) -> Option<&RunConfig> {
        let data = &resource.seen.handle.as_ref()?.data;
        let mut readable = self.configs.iter().filter_map(|(_, config)| config.as_ref().ok());
        readable.find(|config| {
            let is_there = |owner: Owner| {
                (owner.runtime_name, owner.runtime_instance)
                    == (resource.owner.runtime_name.clone(), resource.owner.runtime_instance.clone())
            };
            config.owner().is_some_and(is_there)
                && config.taken_over().is_some_and(|handle| handle.data == *data)
        })
    }

    fn is_taken(&self, name: &WorkloadName) -> bool {
        self.given.contains(name.as_str()) || self.configs.iter().any(|(other, _)| other == name)
    }
}

fn is_of(config: &RunConfig, name: &str) -> bool {
    config.imported.as_ref().is_some_and(|imported| imported.from == PRODUCT && imported.name == name)
}

impl Manager {
    /// Takes over the workloads of the ToolHive whose files lie in these folders, and says about each what was done; with `is_dry` what would be, and nothing is
    /// written.
    ///
    /// # Errors
    /// Where ToolHive's folders, or wharf's records, cannot be read at all. What fails for one workload is in its
    /// report.
    pub async fn import_toolhive(&self, folders: &toolhive::Folders, is_dry: bool) -> Result<Vec<Import>> {
        if folders.state.is_none() {
            let message = "neither XDG_STATE_HOME nor HOME says where ToolHive keeps its workloads";
            return Err(Error::new(ErrorKind::Failed, message).hint("set HOME"));
        }
        let mut entries = toolhive::read(folders)?;
        // Those that keep their names first: another's new name must not take one of them.
        entries.sort_by_key(|entry| (!toolhive::is_name(&entry.name), entry.name.clone()));
        let groups = toolhive::read_groups(folders)?;
        let mut known = Known {
            folders,
            groups,
            configs: self.store().list_run_configs()?,
            is_dry,
            given: BTreeSet::new(),
        };
        let mut reports = Vec::new();
        let mut candidates = Vec::new();
        for Entry { name, file } in &entries {
            match file {
                Err(why) => reports.push(Import::of(name, ImportResult::Malformed, why.clone())),
                Ok(file) => match self.before_asking(name, file, &known).await {
                    Some(report) => reports.push(report),
                    None => candidates.push((name.as_str(), file)),
                },
            }
        }
        let bad_groups = known.groups.iter().filter_map(|(name, group)| Some((name, group.as_ref().err()?)));
        reports.extend(bad_groups.map(|(name, why)| {
            Import::of(&format!("groups/{name}.json"), ImportResult::Malformed, why.clone())
        }));
        if !candidates.is_empty() {
            if !is_dry {
                // The runtimes are told it, and what they answer is of this host.
                self.host_id()?;
            }
            let (mark, value) = toolhive::MARK;
            let labels = BTreeMap::from([(mark.to_owned(), value.to_owned())]);
            let discover = self.discover_foreign(&labels).await?;
            for (name, file) in candidates {
                let report = self.import_one(name, file, &discover, &known).await;
                let report = report.unwrap_or_else(|error| Import::failed(name, error));
                if is_dry {
                    known.given.insert(report.name.clone());
                } else {
                    known.configs = self.store().list_run_configs()?;
                }
                reports.push(report);
            }
            reports.extend(without_config(&discover, &entries));
        }
        reports.sort_by(|a, b| a.source.cmp(&b.source));
        Ok(reports)
    }

    /// What can be said without asking anybody.
    async fn before_asking(&self, name: &str, file: &File, known: &Known<'_>) -> Option<Import> {
        if let Some(run) = known.imported(name) {
            return Some(self.imported_before(name, run, known).await);
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

    /// An import that ended between its two files is finished: the first says all that the second needs.
    async fn imported_before(&self, name: &str, run: &RunConfig, known: &Known<'_>) -> Import {
        let missing = self.store().read_status(&run.name).is_err_and(|error| error.is_not_found());
        let skipped = |reason: &str| Import {
            name: run.name.to_string(),
            ..Import::of(name, ImportResult::Skipped, reason)
        };
        if !missing || !run.is_taken_over() {
            return skipped("it was imported before");
        }
        if known.is_dry {
            return Import { result: ImportResult::WouldImport, ..skipped("its import was interrupted") };
        }
        match self.finish(run).await {
            Ok(Some(seen)) => {
                let owner = run.owner();
                let reason = "its import was interrupted, and is finished now";
                let report = Import { result: ImportResult::Imported, ..skipped(reason) };
                owner.map_or(report.clone(), |owner| report.at(&owner, &seen.object, seen.state))
            }
            Ok(None) => skipped("it was imported before"),
            Err(error) => Import { name: run.name.to_string(), ..Import::failed(name, error) },
        }
    }

    async fn finish(&self, run: &RunConfig) -> Result<Option<Observation>> {
        let operation = self.lock(&run.name).await?;
        let now = self.run_config(&run.name)?;
        if now.uid != run.uid || self.record(&run.name)?.is_some() {
            return Ok(None);
        }
        let handle = run.taken_over().ok_or_else(|| {
            Error::new(ErrorKind::Failed, format!("the recorded handle of '{}' cannot be read", run.name))
        })?;
        let seen = self.look(run, &handle).await?;
        self.record_import(run, &handle, &seen, None, &operation)?;
        Ok(Some(seen))
    }

    async fn import_one(
        &self,
        name: &str,
        file: &File,
        discover: &ForeignDiscovery,
        known: &Known<'_>,
    ) -> Result<Import> {
        let is_meant = |sighting: &ForeignResource| {
            toolhive::is_workload(&sighting.labels)
                && sighting.labels.get(toolhive::BASE_NAME).is_some_and(|base| base == name)
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
        if let Some(run) = known.taken(proven) {
            let skipped = Import::of(name, ImportResult::Skipped, "its container was taken over before");
            return Ok(Import { name: run.name.to_string(), ..skipped }.at(&proven.owner, object, state));
        }
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
        let remarks = remarks(&translation, proven, known);
        translation.changed.extend(remarks);
        let Translation { changed, not_implemented, .. } = &translation;
        let mut report = Import {
            changed: changed.clone(),
            not_implemented: not_implemented.clone(),
            ..Import::of(name, ImportResult::WouldImport, "").at(&proven.owner, object, state)
        };
        if known.is_dry {
            let free = toolhive::candidates(name).into_iter().find(|name| !known.is_taken(name));
            report.name = free.map(|name| name.to_string()).unwrap_or_default();
            return Ok(report);
        }
        match self.take_in(name, translation, proven).await? {
            Some(taken) => (report.name, report.result) = (taken.to_string(), ImportResult::Imported),
            None => {
                report.result = ImportResult::Skipped;
                "its name has been taken meanwhile".clone_into(&mut report.reason);
            }
        }
        Ok(report)
    }

    /// Writes the records of a workload under the first name that is free; none where another import was faster.
    async fn take_in(
        &self,
        source: &str,
        translation: Translation,
        proven: &Resource,
    ) -> Result<Option<WorkloadName>> {
        let Translation { mut run, kept, .. } = translation;
        run.set_owner(self.present_owner(&proven.owner).await?);
        let stranger = proven.seen.handle.clone().ok_or_else(|| {
            Error::new(ErrorKind::Runtime, "the runtime does not say how the container is reached")
        })?;
        let handle = Handle { uid: run.uid.to_string(), ..stranger };
        let recorded = Opaque::of(&handle)
            .map_err(|error| Error::caused(ErrorKind::Failed, "the handle cannot be written", &error))?;
        let imported = Imported { from: PRODUCT.to_owned(), name: source.to_owned(), handle: Some(recorded) };
        run.imported = Some(imported);
        for name in toolhive::candidates(source) {
            let operation = self.lock(&name).await?;
            match self.store().read_run_config(&name) {
                Err(error) if error.is_not_found() => {}
                Ok(there) if is_of(&there, source) => return Ok(None),
                _ => continue,
            }
            // Under the lock: the container must still be there, and its engine be the one that was asked (R07).
            let seen = self.look(&run, &handle).await?;
            run.name = name.clone();
            match self.enter(&run, &kept) {
                Err(StoreError::AlreadyExists { .. }) => continue,
                other => other?,
            }
            let created_at = run.created_at;
            self.record_import(&run, &handle, &seen, created_at, &operation)?;
            return Ok(Some(name));
        }
        Ok(None)
    }

    /// The owner as it is reached: a runtime that was asked through its usual endpoint says which one that is.
    async fn present_owner(&self, proven: &Owner) -> Result<Owner> {
        if !proven.runtime_endpoint.is_empty() {
            return Ok(proven.clone());
        }
        let client = self.plugins()?.connect(&proven.runtime_name, None).await?;
        let now = client.instance().await?;
        if now.instance != proven.runtime_instance {
            let message =
                format!("another instance of '{}' answers now: {}", proven.runtime_name, now.instance);
            return Err(Error::new(ErrorKind::Owner, message).hint("nothing was changed"));
        }
        Ok(Owner { runtime_endpoint: now.endpoint, ..proven.clone() })
    }

    async fn look(&self, run: &RunConfig, handle: &Handle) -> Result<Observation> {
        let client = connect_owner(self.plugins()?, run).await?;
        let seen = client.inspect(handle).await;
        seen.map_err(|error| Error::from(error).while_doing("the container cannot be taken over"))
    }

    /// The status record: what runs is wanted, and what does not is not. The caller holds the operation lock.
    fn record_import(
        &self,
        run: &RunConfig,
        handle: &Handle,
        seen: &Observation,
        created_at: Option<jiff::Timestamp>,
        _operation: &OperationLock,
    ) -> Result<()> {
        let mut record = StatusRecord::new(run.uid.clone());
        (record.phase, record.desired) = if seen.state == WorkloadState::Running {
            (Phase::Running, Desired::Running)
        } else {
            (Phase::Stopped, Desired::Stopped)
        };
        record.created_at = created_at.unwrap_or(record.created_at);
        record.handle = Opaque::of(handle).ok();
        self.record_first(run, record)?;
        reach(Point::ImportRecorded);
        Ok(())
    }
}

/// The translation under a name and a uid of its own; the refusal where there is none.
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

/// What a user should know of a workload that is taken over.
fn remarks(translation: &Translation, proven: &Resource, known: &Known<'_>) -> Vec<String> {
    let run = &translation.run;
    let mut remarks = Vec::new();
    if proven.seen.state == WorkloadState::Running {
        let is_reached = run.transport != wharf_model::Transport::Stdio && proven.seen.address.is_some();
        let how = if is_reached { "goes on as it is" } else { "is replaced by wharf's own" };
        remarks.push(format!("its container {how} when it is started with wharf"));
    }
    if translation.not_implemented.iter().any(|field| field == "isolate_network") {
        remarks.push(
            "isolate_network: the containers that ToolHive made beside it (its proxies, its name server) stay; remove \
             them once wharf has made it anew"
                .to_owned(),
        );
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

/// Containers of workloads that ToolHive has no record of any more.
fn without_config(discover: &ForeignDiscovery, entries: &[Entry]) -> Vec<Import> {
    let named: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let workloads = discover.sightings().iter().filter(|sighting| toolhive::is_workload(&sighting.labels));
    workloads
        .filter_map(|ForeignResource { resource, labels, .. }| {
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
