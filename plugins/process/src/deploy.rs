//! Turns a specification into a launcher whose exec helper waits for `Go`: checks, makes the job, starts the launcher.
use crate::{
    child::{Child, Phase},
    command, default_access,
    environment::{SEARCH_PATH, environment, of_this_process},
    guard::Guard,
    handle::{HandleData, check_uid},
    mounts,
    namespaces::shares_instead,
    package::Tool,
    permission_profile::{Running, make_folders},
    places::Places,
    registries,
    runtime::ProcessRuntime,
    stragglers,
    trail::{Led, Trail},
    version_managers,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use wharf_sdk::{
    Capability, Error, ErrorCode, Handle, Pins, Result, Source, Transport, WorkloadSpec,
    keyed_lock::KeyedGuard,
    launch::{HOST_VARIABLE, Job, PROTOCOL, UID_VARIABLE, temporary_dir},
    pidfd::{Process, Signal},
    process_identity::ProcessIdentity,
};

/// The capabilities of this runtime that a specification may ask for.
const HONOURED: [Capability; 10] = [
    Capability::STDIO,
    Capability::HTTP,
    Capability::WORKING_DIR,
    Capability::CPUS,
    Capability::MEMORY,
    Capability::PIDS,
    Capability::PERMISSION_PROFILE,
    Capability::MOUNTS,
    Capability::PIN,
    Capability::PARENT,
];
/// The variable for temporary files. It is set to a folder of the workload's own, since everybody can write the usual one.
const TEMPORARY: &str = "TMPDIR";
/// How long a workload that lost its supervisor has between SIGTERM and SIGKILL. The Model Context Protocol ends a server
/// over stdio in three steps: the end of its stdin, SIGTERM, SIGKILL. The first has happened by then.
const GRACE_MS: u64 = 5_000;
/// How long the launcher of a deployment that was given up may take to end.
const ABANDONED_TIMEOUT: Duration = Duration::from_secs(5);

impl ProcessRuntime {
    /// The job for a specification. Everything is checked, nothing is changed.
    pub(crate) fn job(&self, spec: &WorkloadSpec) -> Result<Job> {
        self.job_and_pins(spec).map(|(job, _)| job)
    }

    /// The same, together with the places that the names in it lead to.
    pub(crate) fn job_and_pins(&self, spec: &WorkloadSpec) -> Result<(Job, Pins)> {
        self.check(spec)?;
        let (tool, packages) = match Tool::of(&spec.source, &spec.args)? {
            Some((tool, kept_under)) => (Some(tool), self.states.package_dir(tool, &kept_under)),
            None => (None, PathBuf::new()),
        };
        let mut env = environment(of_this_process(), &spec.env, tool.is_some());
        for (variable, name) in tool.map_or(&[][..], Tool::folders) {
            set_unless_asked(&mut env, &spec.env, variable, &packages.join(name));
        }
        if let Some((variable, value)) = tool.and_then(Tool::unasked) {
            set_unless_asked(&mut env, &spec.env, variable, Path::new(value));
        }
        let recorded = spec.pinned.as_ref().and_then(|pins| pins.search_path.as_ref());
        env.extend(recorded.map(|path| (SEARCH_PATH.to_owned(), path.clone())));
        let resolved = command::resolve(&version_managers::sought(spec), &spec.args, &env)?;
        let target_port = spec.transport.target_port();
        let own_dir = self.states.work_dir(&spec.uid);
        let guard = self.guard(&env);
        if let Some(tool) = tool {
            let (home, host) = (guard.home.as_deref(), of_this_process());
            registries::refuse_settings_of_pip(tool, host, home, &env)?;
        }
        let trail = Trail::new(self.writable(spec, &guard));
        let mut places = Places::new(&trail, &guard, &spec.name, spec.pinned.as_ref());
        if let Some(name) = &resolved.searched {
            places.searched(name, &resolved.program, default_access::is_of_system)?;
        }
        let working_dir = working_dir(spec, &places)?;
        let current_dir = match &working_dir {
            Some((name, led)) => {
                places.held(name, led);
                led.path.clone()
            }
            None => self.current_dir(spec, &env),
        };
        let confined = Running {
            spec,
            tool,
            program: &resolved.program,
            env: &env,
            working_dir: working_dir.as_ref().map(|(_, led)| led),
            folder: self.states.folder(),
            own: &own_dir,
            packages: &packages,
            guard: &guard,
        }
        .confined(places)?;
        if let (Some(tool), true) = (tool, confined.has_no_way_out()) {
            let (variable, value) = tool.offline();
            set_unless_asked(&mut env, &spec.env, variable, Path::new(value));
        }
        if confined.sandbox.is_some() && !spec.env.contains_key(TEMPORARY) {
            env.insert(TEMPORARY.to_owned(), temporary_dir(&own_dir).display().to_string());
        }
        let job = Job {
            protocol: PROTOCOL,
            try_only: false,
            sandbox: confined.sandbox,
            limits: confined.limits,
            weaker: confined.weaker,
            uid: spec.uid.clone(),
            host_id: spec.host_id.clone(),
            parent: spec.parent.clone(),
            name: spec.name.clone(),
            program: resolved.program,
            args: resolved.args,
            current_dir,
            own_dir,
            env,
            // A server on stdin and stdout cannot be reached any more once its supervisor is gone.
            survives: target_port.is_some(),
            log_stdout: target_port.is_some(),
            grace_ms: GRACE_MS,
            log_path: self.log_path(&spec.name),
            state_path: self.states.path(&spec.uid),
            target_port,
        };
        Ok((job, confined.pins))
    }

    /// The paths that workloads may write: those that this one asks for, and those that the launchers of others have
    /// recorded.
    fn writable(&self, spec: &WorkloadSpec, guard: &Guard) -> Vec<PathBuf> {
        let asked = spec.permission_profile.iter().flat_map(|profile| &profile.write).map(String::as_str);
        let asked = asked.filter_map(|given| given.split(':').next()).chain(spec.working_dir.as_deref());
        let real = |path: &str| Path::new(path).canonicalize().ok();
        let mut writable: Vec<PathBuf> = asked.filter_map(real).filter(|path| guard.lets(path)).collect();
        // Of a folder that holds keys, parts are written.
        let mounted = spec.mounts.iter().filter_map(|text| mounts::written_source(text));
        writable.extend(mounted.filter_map(real));
        // Unreadable states are passed over: this second check only matters for root.
        for state in self.states.read_all().map(|all| all.states).unwrap_or_default() {
            let paths = state.confinement.and_then(|confinement| confinement.paths);
            writable.extend(paths.into_iter().flat_map(|paths| paths.write).map(PathBuf::from));
        }
        // A device cannot be replaced by a workload.
        writable.retain(|path| !path.starts_with("/dev"));
        writable
    }

    fn check(&self, spec: &WorkloadSpec) -> Result<()> {
        check_uid(&spec.uid)?;
        check_name(&spec.name)?;
        if spec.host_id != self.host_id {
            return Err(Error::invalid(
                "the specification is of another host than this runtime was connected for",
            ));
        }
        if let Some((capability, field)) =
            spec.requirements().into_iter().find(|(capability, _)| !HONOURED.contains(capability))
        {
            return Err(Error::unsupported(
                field,
                format!("the runtime 'process' cannot honour '{field}': it has no '{capability}'"),
            ));
        }
        if matches!(spec.transport, Transport::Http { target_port: 0 }) {
            return Err(Error::invalid("the target port must not be 0"));
        }
        if spec.args.iter().any(|arg| arg.contains('\0')) {
            return Err(Error::invalid("an argument contains a NUL character"));
        }
        for (name, value) in &spec.env {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(Error::invalid(format!(
                    "'{}' cannot be the name of a variable",
                    name.escape_default()
                )));
            }
            if value.contains('\0') {
                return Err(Error::invalid(format!(
                    "the value of the variable '{name}' contains a NUL character"
                )));
            }
            if name == UID_VARIABLE || name == HOST_VARIABLE {
                return Err(Error::invalid(format!(
                    "the variable '{name}' is wharf's own and cannot be set"
                )));
            }
        }
        Ok(())
    }

    /// Starts the two processes, and runs none of the workload's code.
    pub(crate) async fn prepare(&self, spec: &WorkloadSpec) -> Result<Handle> {
        let mut job = self.job(spec)?;
        let turn = self.clear_earlier(&spec.uid).await?;
        if let Some(sandbox) = &job.sandbox {
            make_folders(sandbox, &job.own_dir)?;
        }
        let mut launched = self.launch(&job, turn).await;
        if let Err(error) = &launched
            && shares_instead(&mut job, error)
        {
            if shows_elsewhere(&job) {
                return Err(mounts::not_elsewhere(&error.message));
            }
            launched = self.launch(&job, self.turn(&spec.uid).await?).await;
        }
        let (child, (launcher, workload)) = launched?;
        let data = HandleData {
            name: job.name,
            launcher,
            workload,
            target_port: job.target_port,
            log_path: job.log_path,
        };
        let handle = data.to_handle(&spec.uid)?;
        self.children().insert(spec.uid.clone(), Arc::new(child));
        Ok(handle)
    }

    /// Starts a launcher, and waits until both processes exist.
    async fn launch(
        &self,
        job: &Job,
        turn: KeyedGuard,
    ) -> Result<(Child, (ProcessIdentity, ProcessIdentity))> {
        // If this future fails or is dropped, the child is dropped: the launcher then ends and leaves nothing.
        let marks = [(UID_VARIABLE, job.uid.as_str()), (HOST_VARIABLE, self.host_id.as_str())];
        let child = Child::spawn(&self.launcher, job.target_port.is_none(), &marks, turn)?;
        match child.prepare(job).await {
            Ok(prepared) => Ok((child, prepared)),
            Err(error) => {
                // A launcher that was killed could not remove its files, and without a handle nobody else would.
                drop(child);
                let cleared = self.turn(&job.uid).await.and_then(|_turn| self.states.remove(&job.uid));
                if let Err(error) = cleared {
                    tracing::warn!(%error, "files of a failed launcher stay");
                }
                Err(error)
            }
        }
    }

    /// Makes sure that nothing of an earlier deployment of this uid is left; returns the lock for the next launcher.
    async fn clear_earlier(&self, uid: &str) -> Result<KeyedGuard> {
        let running = |pid: i32| {
            let message = format!("the workload is deployed already, and runs as process {pid}");
            Err(Error::new(ErrorCode::AlreadyExists, message))
        };
        {
            let mut children = self.children();
            let phase = children.get(uid).map(|child| child.phase());
            if phase == Some(Phase::Started)
                && let Some(state) = self.states.read(uid)?
            {
                return running(state.workload.pid);
            }
            // Dropping the child of a workload that was not started ends its launcher.
            children.remove(uid);
        }
        let turn = self.turn(uid).await?;
        if let Some(state) = self.states.read(uid)? {
            let failed = |error| Error::io("the earlier deployment cannot be examined", &error);
            if let Some(launcher) = Process::recorded(&state.launcher).map_err(failed)? {
                let is_over = state.started_at_ms.is_none() || state.exit.is_some();
                if is_over {
                    launcher.signal(Signal::TERM).map_err(failed)?;
                }
                let is_gone =
                    is_over && tokio::time::timeout(ABANDONED_TIMEOUT, launcher.has_ended()).await.is_ok();
                if !is_gone {
                    return running(launcher.pid());
                }
            }
        }
        stragglers::kill(uid, &self.host_id).await?;
        self.states.clear_groups(uid);
        Ok(turn)
    }

    /// The working directory where none was asked for. A package runs in an empty folder of its own, because npx would use
    /// a package in the folder that it runs in, or above it. Any other program runs in the user's home, as if started from
    /// a new terminal.
    fn current_dir(&self, spec: &WorkloadSpec, env: &BTreeMap<String, String>) -> PathBuf {
        if matches!(spec.source, Source::Package { .. }) {
            let folder = self.states.folder();
            let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
            return self
                .states
                .work_dir(&spec.uid)
                .strip_prefix(self.states.folder())
                .map_or(folder.clone(), |own| folder.join(own));
        }
        let home = env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute() && home.is_dir());
        home.and_then(|home| home.canonicalize().ok()).unwrap_or_else(|| PathBuf::from("/"))
    }

    /// The file of a workload's output.
    pub(crate) fn log_path(&self, name: &str) -> PathBuf {
        self.log_dir.join(format!("{name}.log"))
    }
}

/// Whether something is to be shown at another place than its own.
fn shows_elsewhere(job: &Job) -> bool {
    let mut places = job.sandbox.iter().flat_map(|sandbox| sandbox.read.iter().chain(&sandbox.write));
    places.any(|place| place.at.is_some())
}

/// The working directory that was asked for, and where that name leads.
fn working_dir(spec: &WorkloadSpec, places: &Places<'_>) -> Result<Option<(PathBuf, Led)>> {
    let Some(folder) = &spec.working_dir else { return Ok(None) };
    let path = PathBuf::from(folder);
    let led = if path.is_absolute() { places.led(&path)? } else { None };
    match led.filter(|led| led.path.is_dir()) {
        Some(led) => Ok(Some((path, led))),
        None => Err(Error::invalid(format!("the working directory '{folder}' is no folder of this machine"))),
    }
}

/// Sets a variable that the specification leaves open. Other spellings of its case are removed, since npm reads both.
fn set_unless_asked(
    env: &mut BTreeMap<String, String>,
    asked: &BTreeMap<String, String>,
    variable: &str,
    folder: &Path,
) {
    if !asked.keys().any(|name| name.eq_ignore_ascii_case(variable)) {
        env.retain(|name, _| !name.eq_ignore_ascii_case(variable));
        env.insert(variable.to_owned(), folder.display().to_string());
    }
}

/// The name becomes a part of a path, so its form is checked.
fn check_name(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if starts_well
        && (1..=52).contains(&name.len())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "'{}' is no name of a workload: [a-z0-9][a-z0-9-]{{0,51}}",
        name.escape_default()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_specification_says_where_packages_are_kept_instead() {
        let folder = Path::new("/wharf/npm");
        let variables = |name: &str| BTreeMap::from([(name.to_owned(), "/user".to_owned())]);
        let mut env = variables("NPM_CONFIG_CACHE");
        set_unless_asked(&mut env, &BTreeMap::new(), "npm_config_cache", folder);
        assert_eq!(env, BTreeMap::from([("npm_config_cache".to_owned(), "/wharf/npm".to_owned())]));
        let asked = variables("NPM_CONFIG_CACHE");
        let mut env = asked.clone();
        set_unless_asked(&mut env, &asked, "npm_config_cache", folder);
        assert_eq!(env, asked);
    }

    #[test]
    fn a_name_of_one_character_is_a_name() {
        for name in ["a", "7", &"x".repeat(52)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "-", "A", "a.b", "../x", &"x".repeat(53)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
