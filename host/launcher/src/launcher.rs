//! The launcher until the workload runs; [`crate::running`] is the rest. `main` enters it by [`crate::LAUNCHER_ARGUMENT`].
//!
//! ```text
//! Job --> own session, state file --> Prepared --> Go --> executed --> Started --> `running`
//!  |             |                        |                  |
//!  +-- malformed +-- cannot be made       +-- control ends,  +-- not executed
//!      Failed        Failed                   a signal:          Failed
//!                                             nothing has run
//! ```
use crate::control::{Control, Input};
use crate::error::LaunchError;
use crate::exec_helper::{ExecHelper, Surroundings, log_pipe, release_stdio, wait_for};
use crate::init::Init;
use crate::log::Log;
use crate::running::{Running, now_ms};
use crate::sandbox::cgroup::Groups;
use crate::sandbox::namespace_spec::NamespaceSpec;
use crate::sandbox::{Exchanged, Opened, Plan, cgroup, namespaces};
use crate::signals::Signals;
use crate::state::{OwnFolder, StateFile};
use rustix::{
    fs::Mode,
    io::Errno,
    process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, setsid, umask, waitpid},
};
use serde::Deserialize;
use std::{os::fd::AsFd, process::ExitCode};
use wharf_failpoint::{Point, may_fail, reach};
use wharf_sdk::{
    Confinement, Exit,
    launch::{Command, Job, MAX_JOB_BYTES, PROTOCOL, Report, Sandbox, State},
    process_identity::ProcessIdentity,
};

/// The limit of the line after the job, which is only a word.
const MAX_COMMAND_BYTES: usize = 4 * 1024;

/// Launches one workload and stays with it to its end. `argument` is the one after [`crate::LAUNCHER_ARGUMENT`].
pub fn run_launcher(argument: Option<&str>) -> ExitCode {
    wharf_descriptors::close_inherited();
    wharf_descriptors::restore_limit(argument);
    reach(Point::LauncherBegun);
    let Ok(mut control) = Control::take() else { return ExitCode::FAILURE };
    match launch(&mut control) {
        Ok(Some(running)) => {
            let exit = running.until_the_end(&mut control);
            control.report(&Report::Exited(exit));
            ExitCode::SUCCESS
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            let (message, errno) = error.describe();
            control.report(&Report::Failed { message, errno, field: error.field() });
            ExitCode::FAILURE
        }
    }
}

/// Launches the workload. None: the plugin does not want it any more; nothing has run, and nothing is left.
fn launch(control: &mut Control) -> Result<Option<Running>, LaunchError> {
    let signals = Signals::take().map_err(|error| LaunchError::system("signals cannot be taken", error))?;
    let Some(line) = next_line(control, &signals, MAX_JOB_BYTES)? else { return Ok(None) };
    let job = read_job(&line)?;
    drop(line);
    reach(Point::JobRead);
    isolate(&job)?;
    // The plan comes first, so that a refusal is reported before anything is made.
    let mut confinement = Confinement::default();
    if let Some(sandbox) = &job.sandbox {
        confinement = Plan::of(sandbox)?.1;
    }
    confinement.weaker.extend(job.weaker.iter().cloned());
    let groups = Groups::make(&job.limits, &job.uid, namespaces_of(&job).is_some(), &mut confinement)?;
    if job.try_only {
        let opened = Opened::default();
        let init = start_init(&job, &opened)?;
        let surroundings = surroundings(init.as_ref(), &groups, opened);
        control.report(&Report::Tried(try_it(&job, init.as_ref(), &surroundings, confinement)?));
        return Ok(None);
    }
    let folder = OwnFolder::make(&job.own_dir)
        .map_err(|error| LaunchError::system(format!("'{}' cannot be made", job.own_dir.display()), error))?;
    let log = Log::open(&job.log_path).map_err(|error| {
        LaunchError::system(format!("the log '{}' cannot be opened", job.log_path.display()), error)
    })?;
    let opened = open(&job)?;
    confinement.paths = job.sandbox.is_some().then(|| opened.paths());
    may_fail(Point::StageSpawnBefore)
        .map_err(|error| LaunchError::system("the workload's process cannot be made", error))?;
    let init = start_init(&job, &opened)?;
    let helper = ExecHelper::spawn(&job)?;
    reach(Point::StageSpawnAfter);
    if let Err(error) = release_stdio() {
        end_exec_helper(helper.pid);
        return Err(LaunchError::system("stdin and stdout cannot be released", error));
    }
    let prepared = Prepared::record(&job, &helper, init, opened, confinement, groups, folder)?;
    control.report(&Report::Prepared {
        launcher: prepared.state.launcher.clone(),
        workload: prepared.state.workload.clone(),
    });
    reach(Point::PreparedReported);
    match next_line(control, &signals, MAX_COMMAND_BYTES) {
        Ok(Some(line)) if matches!(serde_json::from_slice(&line), Ok(Command::Go)) => {}
        Ok(Some(_)) => {
            prepared.abandon();
            return Err(LaunchError::Command);
        }
        Ok(None) => {
            prepared.abandon();
            return Ok(None);
        }
        Err(error) => {
            prepared.abandon();
            return Err(error);
        }
    }
    reach(Point::GoRead);
    start(&job, helper, prepared, log, signals, control).map(Some)
}

/// Reads the version first: the fields of another version's job may mean something else.
fn read_job(line: &[u8]) -> Result<Job, LaunchError> {
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default)]
        protocol: u32,
    }
    let wrong = |source| LaunchError::Job { source };
    let Versioned { protocol } = serde_json::from_slice(line).map_err(wrong)?;
    if protocol != PROTOCOL {
        return Err(LaunchError::Protocol { theirs: protocol });
    }
    serde_json::from_slice(line).map_err(wrong)
}

/// The sandbox, if the workload is to have namespaces of its own.
fn namespaces_of(job: &Job) -> Option<&Sandbox> {
    job.sandbox.as_ref().filter(|sandbox| sandbox.shared.is_none())
}

/// Makes the namespaces of a confined workload, with init in them. Only children that are started later are in them.
fn start_init(job: &Job, opened: &Opened) -> Result<Option<Init>, LaunchError> {
    let Some(sandbox) = namespaces_of(job) else { return Ok(None) };
    namespaces::enter().map_err(|error| LaunchError::Namespaces { reason: error.to_string() })?;
    Init::spawn(&NamespaceSpec::of(sandbox, opened, &job.current_dir)).map(Some)
}

/// The surroundings that the exec helper joins.
fn surroundings(init: Option<&Init>, groups: &Groups, opened: Opened) -> Surroundings {
    let cgroups = groups.folders().cloned().collect();
    Surroundings { in_namespaces: init.is_some(), cgroups, processes: groups.process_limit(), opened }
}

/// Opens the files of the sandbox, as the first step: later steps use the descriptors.
fn open(job: &Job) -> Result<Opened, LaunchError> {
    let Some(sandbox) = &job.sandbox else { return Ok(Opened::default()) };
    Opened::of(sandbox).map_err(|(path, error)| match error {
        Errno::LOOP => Exchanged(path).into(),
        error => LaunchError::system(format!("'{}' cannot be opened to it", path.display()), error),
    })
}

/// Makes everything except the workload: an exec helper enters the sandbox, tests it and ends.
fn try_it(
    job: &Job,
    init: Option<&Init>,
    surroundings: &Surroundings,
    confinement: Confinement,
) -> Result<Confinement, LaunchError> {
    let helper = ExecHelper::spawn(job)?;
    let pid = helper.pid;
    let (_, log) = log_pipe().map_err(|error| LaunchError::system("a pipe cannot be made", error))?;
    let tried = helper.execute(job, surroundings, log);
    if tried.is_err() {
        let _ = kill_process(pid, Signal::KILL);
    }
    let ended = waitpid(Some(pid), WaitOptions::empty());
    if let Some(init) = init {
        init.end();
    }
    tried?;
    match ended {
        Ok(Some((_, status))) if status.exit_status() == Some(0) => Ok(confinement),
        _ => Err(LaunchError::ExecHelperLost),
    }
}

/// Sets the launcher itself up: a session, the workload's orphaned processes as its children, a strict mask, a name.
fn isolate(job: &Job) -> Result<(), LaunchError> {
    setsid().map_err(|error| LaunchError::system("a new session cannot be made", error))?;
    set_child_subreaper(Some(getpid()))
        .map_err(|error| LaunchError::system("a new parent for orphaned processes cannot be set", error))?;
    umask(Mode::from_raw_mode(0o077));
    if let Ok(name) = std::ffi::CString::new(format!("wharf-{}", job.name)) {
        // The name only shows in `ps`.
        let _ = rustix::thread::set_name(&name);
    }
    Ok(())
}

/// The next line. None if nothing is to run: the control socket ended, or a signal came. If a child has ended, that is an
/// error: before `Go` it can only be the exec helper.
fn next_line(control: &mut Control, signals: &Signals, limit: usize) -> Result<Option<Vec<u8>>, LaunchError> {
    if let Some(line) = control.buffered() {
        return Ok(Some(line));
    }
    loop {
        let [readable, signalled] = wait_for(control.as_fd(), signals.as_fd(), None)?;
        if signalled {
            let signalled = signals.read();
            if signalled.child {
                return Err(LaunchError::ExecHelperLost);
            }
            if signalled.terminate || signalled.kill {
                return Ok(None);
            }
        }
        if readable {
            let input = control
                .receive(limit)
                .map_err(|error| LaunchError::system("the control socket cannot be read", error))?;
            match input {
                Input::Line(line) => return Ok(Some(line)),
                Input::Partial => {}
                Input::TooLong => return Err(LaunchError::JobTooLong { limit }),
                Input::End => return Ok(None),
            }
        }
    }
}

/// Kills the exec helper, and reaps it.
fn end_exec_helper(helper: Pid) {
    reach(Point::StageKillBefore);
    let _ = kill_process(helper, Signal::KILL);
    let _ = waitpid(Some(helper), WaitOptions::empty());
    reach(Point::StageKillAfter);
}

/// The launcher between `Prepared` and `Go`.
struct Prepared {
    state: State,
    file: StateFile,
    helper: Pid,
    /// The init of its namespaces, if it has any.
    init: Option<Init>,
    surroundings: Surroundings,
    folder: OwnFolder,
}

impl Prepared {
    /// Records both processes durably: if the launcher crashes from here on, another process finds them by the record.
    fn record(
        job: &Job,
        helper: &ExecHelper,
        init: Option<Init>,
        opened: Opened,
        confinement: Confinement,
        groups: Groups,
        folder: OwnFolder,
    ) -> Result<Self, LaunchError> {
        let launcher = ProcessIdentity::of(getpid().as_raw_pid())
            .map_err(|error| LaunchError::system("the launcher's identity cannot be read", error))?;
        let surroundings = surroundings(init.as_ref(), &groups, opened);
        let state = State {
            uid: job.uid.clone(),
            host_id: job.host_id.clone(),
            parent: job.parent.clone(),
            name: job.name.clone(),
            launcher,
            workload: helper.identity.clone(),
            target_port: job.target_port,
            confinement: Some(confinement),
            cgroups: groups.keep(),
            started_at_ms: None,
            exit: None,
        };
        let file = StateFile::new(&job.state_path);
        let prepared = Self { state, file, helper: helper.pid, init, surroundings, folder };
        prepared.recorded(prepared.file.write(&prepared.state))?;
        Ok(prepared)
    }

    fn recorded(&self, written: std::io::Result<()>) -> Result<(), LaunchError> {
        written.map_err(|error| {
            self.abandon();
            LaunchError::system("the workload's state cannot be recorded", error)
        })
    }

    /// Kills the exec helper and init: none of the workload's code has run.
    fn end(&self) {
        end_exec_helper(self.helper);
        if let Some(init) = &self.init {
            init.end();
        }
    }

    /// The same, and removes the record.
    fn abandon(&self) {
        self.end();
        self.file.remove_own(&self.state);
        cgroup::remove(&self.state.cgroups);
    }
}

fn start(
    job: &Job,
    helper: ExecHelper,
    mut prepared: Prepared,
    log: Log,
    signals: Signals,
    control: &Control,
) -> Result<Running, LaunchError> {
    let (log_reader, log_writer) = log_pipe().map_err(|error| {
        prepared.abandon();
        LaunchError::system("the log's pipe cannot be made", error)
    })?;
    // Recorded before the program runs, so that no reader takes a running workload for one that was never started.
    prepared.state.started_at_ms = Some(now_ms());
    prepared.recorded(prepared.file.note(&prepared.state))?;
    reach(Point::ExecuteBefore);
    let listener = match helper.execute(job, &prepared.surroundings, log_writer) {
        Ok(listener) => listener,
        Err(error) => {
            prepared.end();
            let (reason, _) = error.describe();
            prepared.state.exit = Some(Exit { at_ms: Some(now_ms()), reason, ..Exit::default() });
            cgroup::remove(&prepared.state.cgroups);
            // If the failure cannot be recorded, the plugin is told of it all the same.
            let _ = prepared.file.write(&prepared.state);
            return Err(error);
        }
    };
    reach(Point::ExecuteAfter);
    control.report(&Report::Started {});
    reach(Point::StartedReported);
    prepared.folder.keep();
    let running = Running::new(job, prepared.helper, prepared.state, prepared.file, log, log_reader, signals);
    Ok(running.answering(listener))
}
