//! The operations, each as the real code performs it, with its possible outcomes.
use crate::tests::any;
use crate::tests::simulated_host::effects::{is_second, running};
use crate::tests::simulated_host::*;
use std::fs;
use wharf_model::{Action, wants_restart};
use wharf_model::{Desired, Event, Phase, ProcessIdentity};
use wharf_model::{Error, ErrorKind};
use wharf_records::{LifeLock, RecordKind};
use wharf_sdk::Exit;

impl SimulatedHost {
    pub(crate) fn begin_start(&mut self, index: usize) {
        let Some(operation) = self.operation(index) else { return };
        if self.workloads[index].config == Expected::Absent {
            self.create(index);
        }
        let recorded = self.workloads[index].status.sound().map(|record| record.phase);
        let is_supervised = self.workloads[index].supervisor.is_some();
        if self.workloads[index].config.sound().is_none() || is_supervised || !self.is_believed(index) {
            return;
        }
        self.set_aside(index, RecordKind::Status, &operation);
        let told = self.tell(index, Event::StartBegun, |record| record.desired = Desired::Running);
        assert_eq!(told, recorded != Some(Phase::Removing), "what is being removed is never started");
        if told {
            let life = LifeLock::try_acquire(self.store.state(), &self.workloads[index].name).unwrap();
            self.workloads[index].supervisor = Some(life);
            self.workloads[index].command = Some(Command { does: Does::Start, operation });
        }
    }

    pub(crate) fn begin_stop(&mut self, index: usize) {
        let Some(operation) = self.operation(index) else { return };
        // R08: to its owner, or not at all.
        if self.workloads[index].config.sound().is_none() || !self.is_believed(index) {
            return;
        }
        self.set_aside(index, RecordKind::Status, &operation);
        if self.tell(index, Event::StopBegun, |record| record.desired = Desired::Stopped) {
            self.workloads[index].command = Some(Command { does: Does::Stop, operation });
        }
    }

    pub(crate) fn begin_remove(&mut self, index: usize) {
        let Some(operation) = self.operation(index) else { return };
        if self.workloads[index].config.sound().is_none() || !self.is_believed(index) {
            return;
        }
        self.set_aside(index, RecordKind::Status, &operation);
        assert!(self.tell(index, Event::RemoveBegun, |_| ()), "a removal is always possible");
        self.workloads[index].command = Some(Command { does: Does::Remove, operation });
    }

    pub(crate) fn finish(&mut self, index: usize) {
        let Some(command) = &self.workloads[index].command else { return };
        let does = command.does;
        if !self.is_believed(index) {
            return self.command_dies(index);
        }
        let boot_id = any::boot(self.boot);
        match does {
            Does::Start => {
                self.deploy(index);
                let identity = ProcessIdentity { pid: 7, start_time: 7, boot_id };
                if !self.tell(index, Event::Ready, |record| record.set_supervisor(Some(identity))) {
                    return self.command_dies(index);
                }
            }
            Does::Stop => {
                self.end(index, Exit { signal: Some(15), ..Exit::default() });
                self.workloads[index].supervisor = None;
                self.tell(index, Event::Stopped, |record| record.set_supervisor(None));
            }
            Does::Remove => {
                self.workloads[index].supervisor = None;
                self.undeploy(index);
                self.remove_records(index);
            }
        }
        self.workloads[index].command = None;
    }

    pub(crate) fn command_dies(&mut self, index: usize) {
        let died = self.workloads[index].command.take();
        if died.is_some_and(|command| command.does == Does::Start) {
            self.workloads[index].supervisor = None;
        }
    }

    pub(crate) fn supervisor_dies(&mut self, index: usize) {
        self.workloads[index].supervisor = None;
        if self.workloads[index].command.as_ref().is_some_and(|command| command.does == Does::Start) {
            self.workloads[index].command = None;
        }
    }

    pub(crate) fn exits(&mut self, index: usize, code: i32) {
        let exit = Exit { code: Some(code), ..Exit::default() };
        if !self.end(index, exit.clone()) || self.workloads[index].supervisor.is_none() {
            return;
        }
        // Beside a command it is that command's to write.
        if self.workloads[index].command.is_some() {
            return;
        }
        let is_wanted = self.store.read_status(&self.workloads[index].name);
        let is_wanted = is_wanted.is_ok_and(|record| record.desired == Desired::Running);
        if is_wanted && wants_restart(POLICIES[index], &exit) {
            return self.deploy(index);
        }
        self.tell_if_there(index, if code == 0 { Event::Completed } else { Event::Failed }, |record| {
            record.desired = if code == 0 { Desired::Stopped } else { record.desired };
            record.set_supervisor(None);
        });
        self.workloads[index].supervisor = None;
    }

    pub(crate) fn forget(&mut self, index: usize) {
        let Some(operation) = self.operation(index) else { return };
        self.workloads[index].supervisor = None;
        self.set_aside(index, RecordKind::Status, &operation);
        self.set_aside(index, RecordKind::RunConfig, &operation);
        self.remove_records(index);
    }

    pub(crate) fn owner_is(&mut self, answer: OwnerAnswer) {
        self.answer = answer;
    }

    pub(crate) fn add_foreign(&mut self, index: usize) {
        let Some(uid) = self.uid(index) else { return };
        let host_id = "another host".to_owned();
        self.resources.push(Observation { host_id, ..running(&uid, "foreign") });
    }

    pub(crate) fn add_second(&mut self, index: usize) {
        if let Some(uid) = self.uid(index) {
            self.resources.retain(|seen| !is_second(seen, &uid));
            self.resources.push(running(&uid, "second"));
        }
    }

    pub(crate) fn reboot(&mut self) {
        self.boot += 1;
        for workload in &mut self.workloads {
            (workload.command, workload.supervisor) = (None, None);
        }
        self.resources.retain(|seen| seen.host_id != HOST_ID);
    }

    #[expect(clippy::disallowed_methods, reason = "the damage is the point")]
    pub(crate) fn corrupt(&mut self, index: usize, kind: RecordKind) {
        let path = self.path(index, kind);
        let workload = &mut self.workloads[index];
        match kind {
            RecordKind::RunConfig if workload.config.sound().is_some() => workload.config = Expected::Corrupt,
            RecordKind::Status if workload.status.sound().is_some() => workload.status = Expected::Corrupt,
            RecordKind::RunConfig | RecordKind::Status => return,
        }
        fs::write(path, GARBAGE).unwrap();
    }

    pub(crate) fn read_to_write_later(&mut self, index: usize) {
        self.workloads[index].read = self.store.read_status(&self.workloads[index].name).ok();
    }

    /// Compare and set: it counts exactly if the record is the one that was read.
    pub(crate) fn write_late(&mut self, index: usize) {
        let workload = &mut self.workloads[index];
        let Some(mut read) = workload.read.take() else { return };
        let version = |record: &StatusRecord| (record.uid.clone(), record.revision);
        let is_current = workload.status.sound().is_some_and(|now| version(now) == version(&read));
        read.restarts += 1;
        let (uid, revision) = version(&read);
        let written = self.store.write_status(&workload.name, &uid, revision, read);
        assert_eq!(written.is_ok(), is_current, "{written:?}");
        if let Ok(written) = written {
            workload.status = Expected::Sound(written);
        }
    }

    /// A supervisor's write compares no revision: the uid alone keeps it from another workload of its name.
    pub(crate) fn ghost_writes(&mut self, index: usize) {
        let workload = &self.workloads[index];
        let Some(uid) = &workload.earlier else { return };
        let gone = || Error::new(ErrorKind::NotFound, "the workload was removed");
        let written = self.store.update_status::<Error>(&workload.name, uid, |record| {
            Ok(StatusRecord { uid: uid.clone(), ..record.ok_or_else(gone)? })
        });
        assert!(written.is_err(), "{written:?}");
    }

    /// Each workload as `wharf reconcile` does: evidence, plan, lock, plan again, act.
    pub(crate) fn reconcile(&mut self) {
        for index in 0..NAMES.len() {
            let (Some(config), Expected::Absent | Expected::Sound(_)) =
                (self.workloads[index].config.sound().cloned(), &self.workloads[index].status)
            else {
                continue;
            };
            let action = self.plan(index, &config);
            if !self.is_believed(index) || self.workloads[index].command.is_some() {
                assert!(
                    matches!(action, Action::Leave(_)),
                    "{action:?} without evidence, or beside a command"
                );
            }
            match &action {
                Action::None | Action::Leave(_) => continue,
                Action::Start(_) => self.begin_start(index),
                Action::Stop(_) => self.begin_stop(index),
                Action::Remove => self.begin_remove(index),
                Action::Record(exit) => {
                    let event = if exit.code == Some(0) { Event::Completed } else { Event::Failed };
                    let told = self.tell(index, event, |record| {
                        record.desired = if exit.code == Some(0) { Desired::Stopped } else { record.desired };
                        record.set_supervisor(None);
                    });
                    assert!(told, "an end that nobody recorded fits");
                    continue;
                }
            }
            assert!(self.workloads[index].command.is_some(), "{action:?} could not be begun");
            self.finish(index);
        }
    }
}
