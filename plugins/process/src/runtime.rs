//! The runtime: deploy, start, stop and the rest, by handle.
use crate::child::Child;
use crate::handle::Data;
use crate::{command, environment::environment, identity, logs, state, stop, stragglers};
use std::{
    collections::HashMap,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use wharf_sdk::launch::{Job, State};
use wharf_sdk::{
    Attach, ByteStream, Context, Error, Exit, Handle, Health, HealthState, Instance, Listing, LogOptions,
    Logs, Observation, Result, Runtime, Source, StopOptions, Transport, WorkloadSpec, WorkloadState,
};

/// The one endpoint that there is.
const ENDPOINT: &str = "local";
/// How long a workload may take to end whose supervisor has died.
const GRACE: Duration = Duration::from_secs(5);

/// Workloads as plain processes.
pub(crate) struct ProcessRuntime {
    context: Context,
    instance: String,
    /// The launchers that this process started, by uid.
    children: Mutex<HashMap<String, Arc<Child>>>,
}

impl ProcessRuntime {
    fn child(&self, uid: &str) -> Option<Arc<Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    fn forget(&self, uid: &str) {
        self.children.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    fn command(
        &self,
        spec: &WorkloadSpec,
    ) -> Result<(command::Command, std::collections::BTreeMap<String, String>)> {
        for (capability, field) in spec.requirements() {
            let known = [
                wharf_sdk::Capability::STDIO,
                wharf_sdk::Capability::HTTP,
                wharf_sdk::Capability::WORKING_DIR,
            ];
            if !known.contains(&capability) {
                return Err(Error::unsupported(
                    field,
                    format!("the runtime 'process' has no '{capability}'"),
                ));
            }
        }
        let is_package = matches!(spec.source, Source::Package { .. });
        let environment = environment(inherited(), is_package, &spec.env);
        let path = environment.get("PATH").map_or("/usr/local/bin:/usr/bin:/bin", String::as_str);
        Ok((command::resolve(spec, path)?, environment))
    }

    /// What is true of a workload now, from its processes and the launcher's state file.
    fn observe(&self, handle: &Handle, data: &Data) -> Result<Observation> {
        let running = identity::open(&data.launcher)?.is_some();
        // Read after the process was looked at: a launcher writes the exit before it ends.
        let state = state::read(&data.state_path)?.filter(|state| state.uid == handle.uid);
        let Some(state) = state else {
            if running && self.child(&handle.uid).is_some() {
                return Ok(self.observation(handle, data, WorkloadState::Created, None, None));
            }
            return Err(Error::not_found("there is no such process, and nothing is left of it"));
        };
        let exit = match (&state.exit, running) {
            (Some(exit), _) => Some(exit.clone()),
            (None, true) => None,
            (None, false) => Some(Exit { reason: lost(&data.launcher)?, ..Exit::default() }),
        };
        let now = match (&exit, state.started_at_ms) {
            (Some(_), _) => WorkloadState::Stopped,
            (None, Some(_)) => WorkloadState::Running,
            (None, None) => WorkloadState::Created,
        };
        Ok(self.observation(handle, data, now, exit, state.started_at_ms))
    }

    fn observation(
        &self,
        handle: &Handle,
        data: &Data,
        state: WorkloadState,
        exit: Option<Exit>,
        started_at_ms: Option<u64>,
    ) -> Observation {
        Observation {
            uid: handle.uid.clone(),
            host_id: self.context.host_id.clone(),
            object: format!("pid {}", data.workload.pid),
            state,
            exit,
            started_at_ms,
            address: data.target_port.map(|port| format!("127.0.0.1:{port}")),
        }
    }

    fn listed(state: &State) -> Result<Observation> {
        let running = identity::open(&state.launcher)?.is_some();
        let exit = match (&state.exit, running) {
            (Some(exit), _) => Some(exit.clone()),
            (None, true) => None,
            (None, false) => Some(Exit { reason: lost(&state.launcher)?, ..Exit::default() }),
        };
        Ok(Observation {
            uid: state.uid.clone(),
            host_id: state.host_id.clone(),
            object: format!("pid {}", state.workload.pid),
            state: match (&exit, state.started_at_ms) {
                (Some(_), _) => WorkloadState::Stopped,
                (None, Some(_)) => WorkloadState::Running,
                (None, None) => WorkloadState::Created,
            },
            exit,
            started_at_ms: state.started_at_ms,
            address: None,
        })
    }
}

/// Variables that are text; others cannot be meant for a workload.
fn inherited() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Why a workload has ended whose launcher did not say how.
fn lost(launcher: &wharf_sdk::launch::ProcessIdentity) -> Result<String> {
    let rebooted = launcher.boot_id != identity::boot_id()?;
    Ok(if rebooted { "the machine was restarted" } else { "its launcher was killed" }.to_owned())
}

/// The machine and the user: what tells these processes from all others.
fn instance() -> Result<String> {
    let user = rustix::process::geteuid().as_raw();
    let machine = ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        .find(|text| !text.is_empty());
    let machine = match machine {
        Some(machine) => machine,
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    Ok(format!("machine {machine} user {user}"))
}

impl Runtime for ProcessRuntime {
    async fn connect(context: Context) -> Result<Self> {
        if let Some(endpoint) = context.endpoint.as_deref().filter(|endpoint| *endpoint != ENDPOINT) {
            let message =
                format!("the runtime 'process' has the endpoint '{ENDPOINT}' alone, and not '{endpoint}'");
            return Err(Error::invalid(message));
        }
        Ok(Self { instance: instance()?, context, children: Mutex::default() })
    }

    async fn instance(&self) -> Result<Instance> {
        Ok(Instance { instance: self.instance.clone(), endpoint: ENDPOINT.to_owned() })
    }

    async fn health(&self) -> Health {
        match identity::boot_id() {
            Ok(_) => Health { state: HealthState::Healthy, message: String::new() },
            Err(error) => Health {
                state: HealthState::Unhealthy,
                message: format!("processes cannot be identified without /proc: {error}"),
            },
        }
    }

    async fn validate(&self, spec: &WorkloadSpec) -> Result<()> {
        self.command(spec).map(drop)?;
        if let Some(dir) = spec.working_dir.as_deref().filter(|dir| !Path::new(dir).is_dir()) {
            return Err(Error::invalid(format!("the working directory {dir} does not exist")));
        }
        Ok(())
    }

    async fn deploy(&self, spec: &WorkloadSpec) -> Result<Handle> {
        let (command, env) = self.command(spec)?;
        let state_path = state::path(&self.context.data_dir, &spec.uid);
        let work_dir = match &spec.working_dir {
            Some(_) => None,
            None => Some(make_work_dir(&self.context.data_dir, &spec.uid)?),
        };
        let target_port = match spec.transport {
            Transport::Stdio => None,
            Transport::Http { target_port } => Some(target_port),
        };
        let job = Job {
            uid: spec.uid.clone(),
            host_id: self.context.host_id.clone(),
            name: spec.name.clone(),
            program: command.program,
            args: command.args,
            env,
            current_dir: spec
                .working_dir
                .as_ref()
                .map(PathBuf::from)
                .or_else(|| work_dir.clone())
                .unwrap_or_default(),
            survives: target_port.is_some(),
            log_stdout: target_port.is_some(),
            grace_ms: u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX),
            log_path: self.context.log_dir.join(format!("{}.log", spec.name)),
            state_path: state_path.clone(),
        };
        let prepared = Child::prepare(&self.context.launcher, &job, target_port.is_none()).await;
        if prepared.is_err()
            && let Some(dir) = &work_dir
        {
            let _ = std::fs::remove_dir_all(dir);
        }
        let child = prepared?;
        let data = Data {
            launcher: child.launcher.clone(),
            workload: child.workload.clone(),
            target_port,
            log_path: job.log_path,
            state_path,
            work_dir,
        };
        let handle = data.into_handle(&spec.uid)?;
        self.children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(spec.uid.clone(), Arc::new(child));
        Ok(handle)
    }

    async fn start(&self, handle: &Handle) -> Result<()> {
        let data = Data::of(handle)?;
        if let Some(child) = self.child(&handle.uid).filter(|child| child.launcher == data.launcher) {
            return child.go(&format!("the program of pid {}", data.workload.pid)).await;
        }
        match self.observe(handle, &data)?.state {
            WorkloadState::Running => Ok(()),
            _ => Err(Error::precondition("a process cannot be started twice; it must be deployed anew")),
        }
    }

    async fn stop(&self, handle: &Handle, options: StopOptions) -> Result<()> {
        let data = Data::of(handle)?;
        if let Some(child) = self.child(&handle.uid)
            && !child.is_started()
        {
            child.hang_up().await;
        }
        stop::stop(&handle.uid, &data, Duration::from_millis(options.timeout_ms)).await
    }

    async fn remove(&self, handle: &Handle) -> Result<()> {
        let data = Data::of(handle)?;
        self.stop(handle, StopOptions { timeout_ms: 0 }).await?;
        self.forget(&handle.uid);
        if let Some(dir) = &data.work_dir {
            remove(dir, std::fs::remove_dir_all(dir))?;
        }
        remove(&data.state_path, std::fs::remove_file(&data.state_path))
    }

    async fn inspect(&self, handle: &Handle) -> Result<Observation> {
        self.observe(handle, &Data::of(handle)?)
    }

    async fn list(&self) -> Result<Listing> {
        let (states, complete) = state::read_all(&self.context.data_dir)?;
        let ours = states.iter().filter(|state| state.host_id == self.context.host_id);
        let workloads = ours.map(Self::listed).collect::<Result<Vec<_>>>()?;
        Ok(Listing { complete, instance: self.instance.clone(), workloads })
    }

    async fn wait(&self, handle: &Handle) -> Result<Exit> {
        let data = Data::of(handle)?;
        let child = self.child(&handle.uid).filter(|child| child.launcher == data.launcher);
        if let Some(child) = child {
            if let Some(exit) = child.exit().await {
                return Ok(exit);
            }
            // The launcher was killed; its death took the first process along, and the rest is cleared up here.
            stragglers::kill(&handle.uid, &data.workload)?;
        } else {
            stop::wait_for_end(identity::open(&data.launcher)?).await?;
        }
        Ok(self.observe(handle, &data)?.exit.unwrap_or_default())
    }

    async fn recover(&self, handle: &Handle) -> Result<Observation> {
        self.observe(handle, &Data::of(handle)?)
    }
}

impl Attach for ProcessRuntime {
    async fn attach(&self, handle: &Handle) -> Result<ByteStream> {
        let child = self.child(&handle.uid).ok_or_else(|| {
            Error::precondition(
                "the pipes of a process end with the supervisor that made them; it must be deployed anew",
            )
        })?;
        let (stdout, stdin) =
            child.take_pipes().ok_or_else(|| Error::precondition("it is attached already, or has a port"))?;
        Ok(ByteStream::of_descriptors(Some(stdout), Some(stdin)))
    }
}

impl Logs for ProcessRuntime {
    async fn logs(&self, handle: &Handle, options: LogOptions) -> Result<ByteStream> {
        logs::read(Data::of(handle)?.log_path, options).await
    }
}

/// A folder of the workload's own: npx, for one, takes what lies in the folder that it is run in for its own.
fn make_work_dir(data_dir: &Path, uid: &str) -> Result<PathBuf> {
    let dir = data_dir.join(format!("{uid}.work"));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(|error| Error::io(&dir.display().to_string(), &error))?;
    Ok(dir)
}

/// What is missing is removed.
fn remove(path: &Path, removed: std::io::Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(&path.display().to_string(), &error))
        }
        _ => Ok(()),
    }
}
