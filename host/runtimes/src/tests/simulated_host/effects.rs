//! The effects of the operations: on real records and locks, on a simulated engine, and on the expectations of both.
use crate::observed::Observed;
use crate::tests::any;
use crate::tests::simulated_host::*;
use std::{fs, path::PathBuf};
use wharf_model::{Action, Evidence, Inputs, Locks, plan};
use wharf_model::{Error, ErrorKind};
use wharf_model::{Event, LockKind, Owner, Phase};
use wharf_records::{LifeProbe, RecordKind, StoreError};
use wharf_sdk::{Exit, Listing, WorkloadState};

impl SimulatedHost {
    /// The operation lock, if nobody has it.
    pub(crate) fn operation(&self, index: usize) -> Option<OperationLock> {
        let workload = &self.workloads[index];
        let taken = OperationLock::try_acquire(self.store.state(), &workload.name);
        assert_eq!(taken.is_ok(), workload.command.is_none(), "{taken:?}");
        taken.ok()
    }

    /// `run`: the RunConfig first, which reserves the name.
    pub(crate) fn create(&mut self, index: usize) {
        let uid = Uid::random().unwrap();
        let name = self.workloads[index].name.clone();
        let mut config = RunConfig::new(uid.clone(), name, "uvx://time");
        config.restart = POLICIES[index];
        config.set_owner(owner());
        let created = self.store.create_run_config(&config);
        assert!(created.is_ok(), "the name is free: {created:?}");
        assert!(self.uids.insert(uid), "a uid is never used again");
        self.workloads[index].config = Expected::Sound(self.store.read_run_config(&config.name).unwrap());
        let again = self.store.create_run_config(&config);
        assert!(matches!(again, Err(StoreError::AlreadyExists { .. })), "{again:?}");
    }

    /// Tells an event to a record that may be missing; whether it was written, as the table and the file let expect.
    pub(crate) fn tell(&mut self, index: usize, event: Event, also: impl FnOnce(&mut StatusRecord)) -> bool {
        self.change(index, event, true, also)
    }

    /// The same as a supervisor: a record that is gone is not made again.
    pub(crate) fn tell_if_there(
        &mut self,
        index: usize,
        event: Event,
        also: impl FnOnce(&mut StatusRecord),
    ) -> bool {
        self.change(index, event, false, also)
    }

    pub(crate) fn change(
        &mut self,
        index: usize,
        event: Event,
        makes: bool,
        also: impl FnOnce(&mut StatusRecord),
    ) -> bool {
        let Some(uid) = self.uid(index) else { return false };
        let workload = &mut self.workloads[index];
        let (may, revision) = match &workload.status {
            // The first record of a creation says that it is starting.
            Expected::Absent => (makes && Phase::Starting.next(event).is_ok(), 0),
            Expected::Sound(record) => (record.phase.next(event).is_ok(), record.revision),
            Expected::Corrupt => (false, 0),
        };
        let written = self.store.update_status::<Error>(&workload.name, &uid, |record| {
            let first = || makes.then(|| StatusRecord::new(uid.clone()));
            let gone = || Error::new(ErrorKind::NotFound, "the workload was removed");
            let mut record = record.or_else(first).ok_or_else(gone)?;
            record.apply(event).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
            also(&mut record);
            Ok(record)
        });
        assert_eq!(written.is_ok(), may, "{event}: {written:?}");
        let Ok(written) = written else { return false };
        assert_eq!((written.revision, &written.uid), (revision + 1, &uid));
        workload.status = Expected::Sound(written);
        true
    }

    /// Only what is corrupt is set aside, and only under the operation lock.
    pub(crate) fn set_aside(&mut self, index: usize, kind: RecordKind, operation: &OperationLock) {
        let workload = &mut self.workloads[index];
        let is_corrupt = match kind {
            RecordKind::RunConfig => workload.config == Expected::Corrupt,
            RecordKind::Status => workload.status == Expected::Corrupt,
        };
        let aside = self.store.quarantine(kind, operation);
        assert_eq!(aside.is_ok(), is_corrupt, "{aside:?}");
        let Ok(aside) = aside else { return };
        assert_eq!(fs::read(aside).unwrap(), GARBAGE, "it keeps its bytes");
        match kind {
            RecordKind::RunConfig => workload.config = Expected::Absent,
            RecordKind::Status => workload.status = Expected::Absent,
        }
    }

    /// The status record first, the RunConfig last; what cannot be read stays.
    pub(crate) fn remove_records(&mut self, index: usize) {
        let workload = &mut self.workloads[index];
        if let Some(uid) = workload.status.sound().map(|record| record.uid.clone()) {
            self.store.remove_status(&workload.name, &uid).unwrap();
            workload.status = Expected::Absent;
        }
        let Some(uid) = workload.config.sound().map(|config| config.uid.clone()) else { return };
        if workload.status == Expected::Absent {
            self.store.remove_run_config(&workload.name, &uid).unwrap();
            (workload.config, workload.earlier) = (Expected::Absent, Some(uid));
        }
    }

    pub(crate) fn deploy(&mut self, index: usize) {
        let Some(uid) = self.uid(index) else { return };
        self.resources.retain(|seen| !is_first(seen, &uid));
        self.resources.push(running(&uid, "first"));
    }

    pub(crate) fn undeploy(&mut self, index: usize) {
        if let Some(uid) = self.uid(index) {
            self.resources.retain(|seen| !is_first(seen, &uid));
        }
    }

    /// The workload ends, if it runs.
    pub(crate) fn end(&mut self, index: usize, exit: Exit) -> bool {
        let Some(uid) = self.uid(index) else { return false };
        let runs = |seen: &&mut Observation| is_first(seen, &uid) && seen.state == WorkloadState::Running;
        let Some(seen) = self.resources.iter_mut().find(runs) else { return false };
        (seen.state, seen.exit) = (WorkloadState::Stopped, Some(exit));
        true
    }

    pub(crate) fn plan(&self, index: usize, config: &RunConfig) -> Action {
        let witnesses = self.witnesses(index, config);
        let locks = Locks { operation_held: witnesses.operation_held, life_held: witnesses.life_held };
        let record = self.store.read_status(&config.name).ok();
        plan(config, record.as_ref(), &witnesses.evidence, locks, &witnesses.boot)
    }

    pub(crate) fn witnesses(&self, index: usize, config: &RunConfig) -> Inputs {
        let workload = &self.workloads[index];
        let probe = LifeProbe::open(self.store.state()).unwrap();
        let held = |kind| probe.is_held(&workload.name, kind).unwrap();
        let witnesses = Inputs {
            evidence: self.evidence(config),
            life_held: held(LockKind::Life),
            operation_held: held(LockKind::Operation),
            boot: any::boot(self.boot),
        };
        assert_eq!(witnesses.life_held, workload.supervisor.is_some());
        assert_eq!(witnesses.operation_held, workload.command.is_some());
        witnesses
    }

    pub(crate) fn evidence(&self, config: &RunConfig) -> Evidence {
        let listing = |complete, instance: &str| Listing {
            complete,
            instance: instance.to_owned(),
            workloads: self.resources.clone(),
        };
        let told = match self.answer {
            OwnerAnswer::Answers => Ok(listing(true, "here")),
            OwnerAnswer::Silent => Err("down".to_owned()),
            OwnerAnswer::Incomplete => Ok(Listing { workloads: Vec::new(), ..listing(false, "here") }),
            OwnerAnswer::AnotherInstance => Ok(Listing { workloads: Vec::new(), ..listing(true, "there") }),
        };
        Observed::told(&owner(), HOST_ID, told).evidence(config)
    }

    /// Whether the owner's answer about a workload is evidence.
    pub(crate) fn is_believed(&self, index: usize) -> bool {
        let of_it = |seen: &&Observation| {
            seen.host_id == HOST_ID && self.uid(index).is_some_and(|uid| seen.uid == uid.as_str())
        };
        self.answer == OwnerAnswer::Answers && self.resources.iter().filter(of_it).count() < 2
    }

    /// Whether it really runs.
    pub(crate) fn runs(&self, uid: &Uid) -> bool {
        let is_it = |seen: &Observation| seen.host_id == HOST_ID && seen.uid == uid.as_str();
        self.resources.iter().any(|seen| is_it(seen) && seen.state == WorkloadState::Running)
    }

    pub(crate) fn uid(&self, index: usize) -> Option<Uid> {
        self.workloads[index].config.sound().map(|config| config.uid.clone())
    }

    pub(crate) fn path(&self, index: usize, kind: RecordKind) -> PathBuf {
        let folder = match kind {
            RecordKind::RunConfig => self.store.state().run_configs(),
            RecordKind::Status => self.store.state().statuses(),
        };
        folder.join(format!("{}.json", NAMES[index]))
    }
}

pub(crate) fn owner() -> Owner {
    Owner {
        runtime_name: "docker".to_owned(),
        runtime_instance: "here".to_owned(),
        runtime_endpoint: String::new(),
    }
}

pub(crate) fn running(uid: &Uid, object: &str) -> Observation {
    Observation {
        uid: uid.to_string(),
        host_id: HOST_ID.to_owned(),
        handle: None,
        parent: None,
        object: object.to_owned(),
        state: WorkloadState::Running,
        exit: None,
        started_at_ms: None,
        address: None,
        confinement: None,
        condition: wharf_sdk::Condition::default(),
    }
}

pub(crate) fn is_first(seen: &Observation, uid: &Uid) -> bool {
    seen.uid == uid.as_str() && seen.object == "first"
}

pub(crate) fn is_second(seen: &Observation, uid: &Uid) -> bool {
    seen.uid == uid.as_str() && seen.object == "second"
}
