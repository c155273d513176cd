//! Observes a workload, by its launcher's reports, its state file and its processes.
use crate::{
    child::{Child, Phase},
    handle::HandleData,
    runtime::ProcessRuntime,
    stragglers,
};
use std::io;
use wharf_sdk::{
    Address, Error, Exit, Handle, Observation, Result, WorkloadState,
    launch::State,
    pidfd::{Process, Signal},
    process_identity::{BootId, ProcessIdentity},
};

/// The reasons of ends that no launcher recorded.
const REBOOTED: &str = "the machine was restarted";
const VANISHED: &str =
    "its launcher ended without recording how the workload ended; it was killed, or the disk was full";

impl ProcessRuntime {
    /// The present state of the workload. The state file comes first, since it also has what other processes did.
    pub(crate) fn observe(&self, handle: &Handle) -> Result<Observation> {
        let data = HandleData::read(handle)?;
        let child = self.child(&handle.uid);
        let Some(state) = self.states.read(&handle.uid)? else {
            return self.observe_without_file(handle, &data, child.as_deref());
        };
        let mut observation = self.of_state(&state).map_err(|error| examined(&error))?;
        // The launcher may have reported an end that it could not record.
        if let (Some(exit), Some(Phase::Exited(told))) =
            (&mut observation.exit, child.map(|child| child.phase()))
            && exit.reason == VANISHED
        {
            *exit = told;
        }
        Ok(observation)
    }

    /// Somebody removed the state file: only the recorded processes can be looked at.
    fn observe_without_file(
        &self,
        handle: &Handle,
        data: &HandleData,
        child: Option<&Child>,
    ) -> Result<Observation> {
        let lives = is_alive(&data.workload).and_then(|lives| Ok(lives || is_alive(&data.launcher)?));
        let started = !matches!(child.map(Child::phase), Some(Phase::Spawned | Phase::Prepared { .. }));
        if !lives.map_err(|error| examined(&error))? {
            return Err(Error::not_found(format!(
                "no process of the workload '{}' exists, and no record of one",
                data.name
            )));
        }
        Ok(Observation {
            uid: handle.uid.clone(),
            host_id: self.host_id.clone(),
            handle: Some(handle.clone()),
            parent: None,
            object: object(&data.workload),
            state: if started { WorkloadState::Running } else { WorkloadState::Created },
            exit: None,
            started_at_ms: None,
            address: address(data.target_port),
            confinement: None,
            condition: wharf_sdk::Condition::default(),
        })
    }

    /// The observation of a state file and of the processes that it names.
    pub(crate) fn of_state(&self, state: &State) -> io::Result<Observation> {
        let mut state = state.clone();
        let mut lives = state.exit.is_none() && lives(&state)?;
        if state.exit.is_none() && !lives {
            // The workload may have ended in good order since the file was read, so it is read again.
            if let Ok(Some(again)) = self.states.read(&state.uid) {
                lives = again.launcher != state.launcher && again.exit.is_none();
                state = again;
            }
        }
        if state.exit.is_none() && !lives {
            let reason = if state.workload.boot_id == BootId::current()? { VANISHED } else { REBOOTED };
            state.exit = Some(Exit { reason: reason.to_owned(), ..Exit::default() });
        }
        let does = match (&state.exit, state.started_at_ms) {
            (Some(_), _) => WorkloadState::Stopped,
            (None, Some(_)) => WorkloadState::Running,
            (None, None) => WorkloadState::Created,
        };
        Ok(self.shown(state, does))
    }

    /// States with what their workloads do. One whose processes cannot be examined does something that is not known: no
    /// evidence about that one, and nothing to the others.
    pub(crate) fn listed(
        &self,
        states: &[State],
        examine: impl Fn(&State) -> io::Result<Observation>,
    ) -> Vec<Observation> {
        let seen = states.iter().map(|state| {
            examine(state).unwrap_or_else(|error| {
                tracing::warn!(%error, uid = state.uid, "the processes of a workload cannot be examined");
                self.shown(state.clone(), WorkloadState::Unknown)
            })
        });
        seen.collect()
    }

    fn shown(&self, state: State, does: WorkloadState) -> Observation {
        let data = HandleData {
            name: state.name.clone(),
            launcher: state.launcher,
            workload: state.workload.clone(),
            target_port: state.target_port,
            log_path: self.log_path(&state.name),
        };
        Observation {
            handle: data.to_handle(&state.uid).ok(),
            uid: state.uid,
            host_id: state.host_id,
            parent: state.parent,
            object: object(&state.workload),
            state: does,
            exit: state.exit,
            started_at_ms: state.started_at_ms,
            address: address(state.target_port),
            confinement: state.confinement,
            condition: wharf_sdk::Condition::default(),
        }
    }

    /// Resolves when the workload has ended.
    pub(crate) async fn ended(&self, handle: &Handle) -> Result<Exit> {
        let data = HandleData::read(handle)?;
        let watch = self.child(&handle.uid).map(|child| child.watch());
        if let Some(watch) = watch
            && let Phase::Exited(exit) = watch.until(Phase::is_over).await
        {
            return Ok(exit);
        }
        let (launcher, workload) = match self.states.read(&handle.uid)? {
            Some(State { exit: Some(exit), .. }) => return Ok(exit),
            Some(state) => (state.launcher, state.workload),
            None => (data.launcher, data.workload),
        };
        // The launcher ends after the workload, unless it was killed.
        if let Some(process) = Process::recorded(&launcher).map_err(|error| examined(&error))? {
            process.ended().await.map_err(|error| Error::io("the workload cannot be watched", &error))?;
        }
        self.end_what_is_left(&handle.uid, &launcher, &workload).await?;
        self.observe(handle)?.exit.ok_or_else(|| {
            Error::precondition("the workload was started again while its end was waited for; wait again")
        })
    }

    /// Kills processes that a killed launcher has left. The kernel kills the workload's first process together with the
    /// launcher, but that process can undo this (prctl(2), or one of its threads executes a program), and its children were
    /// never covered.
    async fn end_what_is_left(
        &self,
        uid: &str,
        launcher: &ProcessIdentity,
        workload: &ProcessIdentity,
    ) -> Result<()> {
        // While the lock is held no launcher of this process begins, so every process with the uid belongs to a deployment
        // that has ended.
        let _turn = self.turn(uid).await?;
        let is_over = match self.states.read(uid)? {
            Some(state) => state.exit.is_some() || state.launcher != *launcher,
            // Somebody removed the state file, or the whole deployment.
            None => false,
        };
        if is_over {
            return Ok(());
        }
        if let Some(process) = Process::recorded(workload).map_err(|error| examined(&error))? {
            let failed = |error| Error::io("the workload's process cannot be killed", &error);
            process.signal(Signal::KILL).map_err(failed)?;
            process.ended().await.map_err(|error| Error::io("the workload cannot be watched", &error))?;
        }
        stragglers::kill(uid, &self.host_id).await
    }
}

/// The launcher ends after the workload. As long as it lives, the workload is running or ending.
fn lives(state: &State) -> io::Result<bool> {
    Ok(is_alive(&state.workload)? || is_alive(&state.launcher)?)
}

fn is_alive(identity: &ProcessIdentity) -> io::Result<bool> {
    Ok(Process::recorded(identity)?.is_some())
}

fn object(workload: &ProcessIdentity) -> String {
    format!("pid {}", workload.pid)
}

fn address(target_port: Option<u16>) -> Option<Address> {
    target_port.map(Address::loopback)
}

/// A process that could not be examined is no evidence: the error is never `not_found`.
fn examined(error: &io::Error) -> Error {
    Error::unavailable(format!("the workload's processes cannot be examined: {error}"))
}
