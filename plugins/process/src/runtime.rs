//! [`ProcessRuntime`]: implements the SDK's traits for plain processes. The modules beside it do the work.
use crate::{
    child::{Child, Phase, failure},
    command::missing_interpreter,
    environment::SEARCH_PATH,
    guard::Guard,
    handle::HandleData,
    hints, logs,
    namespaces::shares_instead,
    state::StateFiles,
    version_managers,
};
use rustix::io::Errno;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use wharf_sdk::{
    Attach, ByteStream, Confine, Confinement, Context, Error, Exit, Handle, Health, Instance, ListQuery,
    Listing, LogOptions, Logs, Observation, Pin, Pins, Result, Runtime, Source, StopOptions, WorkloadSpec,
    WorkloadState, disk_advice,
    keyed_lock::{KeyedGuard, KeyedLock},
    launch::Job,
    machine_id,
    pidfd::Process,
    process_identity::check_proc,
};

/// The endpoint: there is only one way to reach the processes of this machine.
const ENDPOINT: &str = "local";

/// Plain processes of this machine and user.
#[derive(Debug)]
pub(crate) struct ProcessRuntime {
    pub(crate) host_id: String,
    pub(crate) log_dir: PathBuf,
    pub(crate) launcher: Vec<String>,
    /// The host's own folders.
    pub(crate) private_dirs: Vec<PathBuf>,
    pub(crate) states: StateFiles,
    instance: String,
    /// The launchers that this process started, by uid. Workloads of other processes are found by their handles.
    children: Mutex<HashMap<String, Arc<Child>>>,
    /// One lock for each uid, held until the launcher of this process has ended. A launcher that was given up still removes
    /// its files; if the next one had begun meanwhile, it would remove that one's folder and state.
    turns: KeyedLock,
    /// The name of the workload that was warned about last, and the warnings.
    warned: Mutex<(String, Vec<String>)>,
}

/// How long a launcher that was given up may take to end.
const GIVEN_UP_TIMEOUT: Duration = Duration::from_secs(10);

impl ProcessRuntime {
    /// The files that a workload with this environment must not get as a part of something else.
    pub(crate) fn guard(&self, env: &BTreeMap<String, String>) -> Guard {
        Guard::of_workload(env, &self.launcher, &self.private_dirs)
    }

    pub(crate) fn new(
        host_id: String,
        data_dir: PathBuf,
        log_dir: PathBuf,
        private_dirs: Vec<PathBuf>,
        launcher: Vec<String>,
    ) -> Self {
        Self {
            states: StateFiles::new(data_dir, host_id.clone()),
            host_id,
            log_dir,
            launcher,
            private_dirs,
            instance: format!("{}/{}", machine_id(), rustix::process::geteuid().as_raw()),
            children: Mutex::default(),
            turns: KeyedLock::default(),
            warned: Mutex::default(),
        }
    }

    pub(crate) fn children(&self) -> MutexGuard<'_, HashMap<String, Arc<Child>>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The launcher of a workload, if this process started it.
    pub(crate) fn child(&self, uid: &str) -> Option<Arc<Child>> {
        self.children().get(uid).cloned()
    }

    /// Waits until this process has no launcher for this workload any more.
    pub(crate) async fn turn(&self, uid: &str) -> Result<KeyedGuard> {
        tokio::time::timeout(GIVEN_UP_TIMEOUT, self.turns.lock(uid)).await.map_err(|_| {
            Error::unavailable("an earlier launcher of the workload has not ended yet; try again")
        })
    }

    /// Warns about a workload that is being created. Before its user is asked about a closed path the host asks for the
    /// workload's pins, and once more for its creation: what has been said is not said again.
    fn warn(&self, spec: &WorkloadSpec, job: &Job, others: Vec<String>) {
        let hints = hints::of(job).into_iter().chain(hints::of_closed_folder(spec, job));
        let hints: Vec<String> = hints.chain(hints::of_split_mounts(spec, job)).chain(others).collect();
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let known = if warned.0 == spec.name { &warned.1[..] } else { &[][..] };
        hints.iter().filter(|hint| !known.contains(hint)).for_each(|hint| tracing::warn!("{hint}"));
        *warned = (spec.name.clone(), hints);
    }

    /// The fault of this machine, if it has one.
    fn fault(&self) -> Option<Health> {
        let own = std::process::id().cast_signed();
        if let Err(error) = fs::metadata("/proc/self/stat").and_then(|_| check_proc()) {
            return Some(
                Health::unhealthy(format!("/proc is not usable: {error}"))
                    .with_remedy("mount it: mount -t proc proc /proc"),
            );
        }
        if let Err(error) = Process::open(own) {
            return Some(
                Health::unhealthy(format!("processes cannot be held by descriptors: {error}"))
                    .with_remedy("use Linux 5.3 or newer"),
            );
        }
        for folder in [self.states.folder(), &self.log_dir] {
            use rustix::fs::{Access, access};
            // A folder that does not exist yet is no fault: it is made before anything is deployed.
            let usable = access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK);
            if let Err(error) =
                usable.or_else(|error| if error == Errno::NOENT { Ok(()) } else { Err(error) })
            {
                let message = format!("the folder '{}' cannot be used: {error}", folder.display());
                let remedy = disk_advice(&error.into()).unwrap_or("see that this user can write it");
                return Some(Health::unhealthy(message).with_remedy(remedy));
            }
        }
        let launcher = self.launcher.first().map_or("", String::as_str);
        match fs::metadata(launcher) {
            Err(error) => {
                Some(Health::unhealthy(format!("the launcher '{launcher}' cannot be used: {error}")))
            }
            Ok(_) => None,
        }
    }

    /// The reason why a deployment whose launcher does not wait for `Go` cannot be started.
    fn cannot_start(&self, handle: &Handle) -> Result<()> {
        let observed = self.observe(handle)?;
        match observed.state {
            WorkloadState::Running => Ok(()),
            WorkloadState::Created => Err(Error::precondition(
                "the workload was deployed by another process, which alone can start it; deploy it again",
            )),
            _ => Err(Error::precondition(
                "the process has ended, and a process cannot be started twice; deploy the workload again",
            )),
        }
    }
}

/// The first of the user's settings for this runtime, which has none.
fn setting(configuration: &serde_json::Value) -> Option<String> {
    match configuration {
        serde_json::Value::Null => None,
        serde_json::Value::Object(settings) => settings.keys().next().cloned(),
        other => Some(other.to_string()),
    }
}

impl Runtime for ProcessRuntime {
    async fn connect(context: Context) -> Result<Self> {
        if let Some(endpoint) = context.endpoint.as_deref().filter(|endpoint| *endpoint != ENDPOINT) {
            return Err(Error::invalid(format!(
                "the runtime 'process' has only the endpoint '{ENDPOINT}', not '{endpoint}'"
            )));
        }
        if let Some(name) = setting(&context.configuration) {
            return Err(Error::invalid(format!(
                "runtimes.process in config.json makes no sense: this runtime has no settings, and no '{name}'; remove it"
            )));
        }
        Ok(Self::new(
            context.host_id,
            context.data_dir,
            context.log_dir,
            context.private_dirs,
            context.launcher,
        ))
    }

    async fn instance(&self) -> Result<Instance> {
        Ok(Instance { instance: self.instance.clone(), endpoint: ENDPOINT.to_owned() })
    }

    async fn health(&self) -> Health {
        match self.fault() {
            None => Health::healthy(),
            Some(health) => health,
        }
    }

    async fn validate(&self, spec: &WorkloadSpec) -> Result<()> {
        let job = self.job(spec)?;
        // Names that are pinned have been through `pin`, which has warned.
        if spec.pinned.is_none() {
            self.warn(spec, &job, Vec::new());
        }
        Ok(())
    }

    async fn deploy(&self, spec: &WorkloadSpec) -> Result<Handle> {
        self.prepare(spec).await
    }

    async fn start(&self, handle: &Handle) -> Result<()> {
        let data = HandleData::read(handle)?;
        let Some(child) = self.child(&handle.uid) else { return self.cannot_start(handle) };
        match child.phase() {
            Phase::Prepared { launcher, .. } if launcher == data.launcher => {}
            Phase::Prepared { .. } => {
                return Err(Error::precondition("the handle is of an earlier deployment of this workload"));
            }
            _ => return self.cannot_start(handle),
        }
        let sent = child.go().await;
        let told = child.until(|phase| !matches!(phase, Phase::Spawned | Phase::Prepared { .. })).await;
        match told {
            // A program that has ended already was executed.
            Phase::Started | Phase::Exited(_) => Ok(()),
            Phase::Failed { message, errno, .. } => Err(not_executed(message, errno)),
            _ => {
                sent?;
                Err(Error::internal("the launcher ended before the workload was started"))
            }
        }
    }

    async fn stop(&self, handle: &Handle, options: StopOptions) -> Result<()> {
        self.end(handle, Duration::from_millis(options.timeout_ms)).await
    }

    async fn remove(&self, handle: &Handle) -> Result<()> {
        self.end(handle, Duration::ZERO).await?;
        self.children().remove(&handle.uid);
        self.states.remove(&handle.uid)
    }

    async fn inspect(&self, handle: &Handle) -> Result<Observation> {
        self.observe(handle)
    }

    async fn list(&self, query: &ListQuery) -> Result<Listing> {
        // The launcher of a deployment that was given up may still be clearing up, so the listing waits for it. A launcher
        // that this process holds as a child keeps its turn for as long as it lives, and is not waited for.
        for uid in query.uids.iter().flatten() {
            if self.child(uid).is_none() {
                self.turns.until_free(uid).await;
            }
        }
        // Without a usable /proc, no workload can be examined: that is no answer at all.
        check_proc().map_err(|error| Error::unavailable(format!("processes cannot be examined: {error}")))?;
        let all = match &query.uids {
            Some(uids) => self.states.read_these(uids),
            None => self.states.read_all(),
        };
        let all =
            all.map_err(|error| Error::unavailable(format!("the state files cannot be read: {error}")))?;
        let workloads = self.listed(&all.states, |state| self.of_state(state));
        Ok(Listing { complete: all.complete, instance: self.instance.clone(), workloads })
    }

    async fn wait(&self, handle: &Handle) -> Result<Exit> {
        self.ended(handle).await
    }

    async fn recover(&self, handle: &Handle) -> Result<Observation> {
        // The handle, the state file and the processes are all that there is, and `observe` reads them.
        self.observe(handle)
    }
}

impl Logs for ProcessRuntime {
    async fn logs(&self, handle: &Handle, options: LogOptions) -> Result<ByteStream> {
        let data = HandleData::read(handle)?;
        logs::open(&data.log_path, &self.states.path(&handle.uid), options)
    }
}

impl Confine for ProcessRuntime {
    async fn confinement(&self) -> Result<Confinement> {
        let mut job = self.trial();
        let tried = Child::spawn(&self.launcher, false, &[], ())?.tried(&job).await;
        match tried {
            Err(error) if shares_instead(&mut job, &error) => {
                Child::spawn(&self.launcher, false, &[], ())?.tried(&job).await
            }
            tried => tried,
        }
    }
}

impl Pin for ProcessRuntime {
    async fn pin(&self, spec: &WorkloadSpec) -> Result<Pins> {
        let mut spec = spec.clone();
        let (search_path, by_name) = version_managers::search_path(&spec).await?;
        spec.env.insert(SEARCH_PATH.to_owned(), search_path.clone());
        if let Some(program) = by_name {
            spec.source = Source::Command { program };
        }
        // A job is made for it, so all that `validate` and `deploy` refuse is refused here, too.
        let (job, mut pins) = self.job_and_pins(&spec)?;
        pins.search_path = Some(search_path);
        let mut warnings = Vec::new();
        for (path, closed) in hints::closed_paths(&spec, &job, || self.guard(&job.env)) {
            let warning = closed.warning(&path);
            let path = path.display().to_string();
            if warning.is_none() && !path.contains(':') {
                pins.closed.push(path);
            }
            warnings.extend(warning);
        }
        self.warn(&spec, &job, warnings);
        Ok(pins)
    }
}

impl Attach for ProcessRuntime {
    async fn attach(&self, handle: &Handle) -> Result<ByteStream> {
        if HandleData::read(handle)?.target_port.is_some() {
            return Err(Error::precondition("the workload speaks over a port, not over stdin and stdout"));
        }
        let Some(child) = self.child(&handle.uid) else {
            return Err(Error::precondition(
                "stdin and stdout of the workload ended with the process that started it; restart the workload",
            ));
        };
        match child.take_stdio() {
            Some((reader, writer)) => Ok(ByteStream::of_descriptors(Some(reader), Some(writer))),
            None => Err(Error::precondition("stdin and stdout of the workload are attached already")),
        }
    }
}

/// The error for a program that was not executed. "Not found" for an existing file means that its interpreter is missing.
fn not_executed(message: String, errno: Option<i32>) -> Error {
    let mut error = failure(message, errno);
    // The launcher's message has the form "'PROGRAM' cannot be executed: REASON".
    let program = error.message.strip_prefix('\'').and_then(|rest| rest.split_once("' cannot be executed"));
    if errno == Some(Errno::NOENT.raw_os_error())
        && let Some((program, _)) = program
        && let Some(interpreter) = missing_interpreter(Path::new(program))
    {
        error.message = format!(
            "'{program}' cannot be executed: its first line names the interpreter '{interpreter}', which does not exist"
        );
    }
    error
}
