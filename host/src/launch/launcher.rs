//! The launcher itself: one loop over signals, its plugin and the workload's output.
use super::{EXEC_ARGUMENT, ExecFailure, Program, children, log::Log, state_file};
use crate::status::{BootId, ProcessIdentity};
use nix::sys::{
    signal::{SigSet, Signal as NixSignal},
    signalfd::{SfdFlags, SignalFd},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
    io::{Errno, fcntl_dupfd_cloexec},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, set_child_subreaper, setsid, wait},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr},
};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, IoSlice, PipeReader, PipeWriter, Read, Write},
    mem::MaybeUninit,
    os::{fd::AsFd, unix::net::UnixStream, unix::process::CommandExt},
    process::{Child, ExitCode, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use wharf_sdk::Exit;
use wharf_sdk::launch::{
    Command, HOST_VARIABLE, Job, ProcessIdentity as Identity, Report, State, UID_VARIABLE,
};

/// The largest job.
const MAX_JOB_BYTES: u64 = 8 * 1024 * 1024;

/// Runs a launcher: descriptor 0 is the workload's stdin, 1 its stdout, 2 the socket to the plugin.
pub fn run_launcher() -> ExitCode {
    let Ok(control) = fcntl_dupfd_cloexec(stderr(), 3).map(UnixStream::from) else {
        return ExitCode::FAILURE;
    };
    let mut plugin = Plugin(Some(control));
    match launch(&mut plugin) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            plugin.report(&Report::Failed { message: error.to_string(), errno: error.raw_os_error() });
            ExitCode::FAILURE
        }
    }
}

/// The plugin's end of the socket; none once it is gone.
struct Plugin(Option<UnixStream>);

impl Plugin {
    fn report(&mut self, report: &Report) {
        if let (Some(socket), Ok(mut text)) = (&mut self.0, serde_json::to_vec(report)) {
            text.push(b'\n');
            let _ = socket.write_all(&text);
        }
    }

    /// One line; none at the end.
    fn line(&self, max_bytes: u64) -> io::Result<Option<String>> {
        let Some(socket) = &self.0 else { return Ok(None) };
        let mut line = String::new();
        BufReader::with_capacity(1, socket.take(max_bytes)).read_line(&mut line)?;
        Ok(line.ends_with('\n').then_some(line))
    }
}

fn launch(plugin: &mut Plugin) -> io::Result<()> {
    let Some(line) = plugin.line(MAX_JOB_BYTES)? else { return Err(io::Error::other("no job was sent")) };
    let job: Job = serde_json::from_str(&line)?;
    // Away from the terminal and the group of whoever started wharf; heir to whatever the workload leaves behind.
    let _ = setsid();
    set_child_subreaper(Pid::from_raw(1))?;
    let signals = watched_signals()?;
    let (output, log_writer) = io::pipe()?;
    let (mut to_child, child_end) = UnixStream::pair()?;
    let mut child = spawn(&job, child_end)?;
    let mut state = identify(&job, &child)?;
    if let Err(error) = state_file::write(&job.state_path, &state) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    plugin.report(&Report::Prepared { launcher: state.launcher.clone(), workload: state.workload.clone() });
    let go = matches!(plugin.line(1024), Ok(Some(line)) if serde_json::from_str(&line).is_ok_and(|Command::Go| true));
    if !go {
        let _ = child.kill();
        let _ = child.wait();
        let _ = std::fs::remove_file(&job.state_path);
        return Ok(());
    }
    if let Err(failure) = execute(&job, &mut to_child, log_writer) {
        let _ = child.wait();
        let _ = std::fs::remove_file(&job.state_path);
        plugin.report(&Report::Failed { message: failure.message, errno: failure.errno });
        return Ok(());
    }
    state.started_at_ms = Some(now_ms());
    // From here on the workload runs: trouble with the file must not end it.
    let _ = state_file::write(&job.state_path, &state);
    plugin.report(&Report::Started {});
    let mut watch = Watch { job: &job, plugin, signals, output, log: Log::new(&job.log_path), kill_at: None };
    let workload = Pid::from_child(&child);
    let exit = watch.until_exit(workload)?;
    state.exit = Some(exit.clone());
    let _ = state_file::write(&job.state_path, &state);
    watch.plugin.report(&Report::Exited(exit));
    Ok(())
}

fn watched_signals() -> io::Result<SignalFd> {
    let mut watched = SigSet::empty();
    for signal in [NixSignal::SIGCHLD, NixSignal::SIGTERM, NixSignal::SIGINT] {
        watched.add(signal);
    }
    // The mask is not inherited: the standard library empties it for what it spawns.
    watched.thread_block()?;
    Ok(SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Starts the child that will become the workload, and leaves the workload's descriptors to it alone.
fn spawn(job: &Job, child_end: UnixStream) -> io::Result<Child> {
    let own = |piped: bool| if piped { Stdio::inherit() } else { Stdio::null() };
    let child = std::process::Command::new("/proc/self/exe")
        .arg0(format!("wharf-exec {}", job.name))
        .arg(EXEC_ARGUMENT)
        .arg(std::process::id().to_string())
        .stdin(own(!job.log_stdout))
        .stdout(own(!job.log_stdout))
        .stderr(Stdio::from(std::os::fd::OwnedFd::from(child_end)))
        .spawn();
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    child
}

fn identify(job: &Job, child: &Child) -> io::Result<State> {
    let boot = BootId::current().map_err(io::Error::other)?;
    let of = |pid: u32| -> io::Result<Identity> {
        let identity = ProcessIdentity::of(pid, &boot).map_err(io::Error::other)?;
        let identity =
            identity.ok_or_else(|| io::Error::other("the process ended before it was prepared"))?;
        serde_json::from_value(serde_json::to_value(identity)?).map_err(io::Error::other)
    };
    Ok(State {
        uid: job.uid.clone(),
        host_id: job.host_id.clone(),
        name: job.name.clone(),
        launcher: of(std::process::id())?,
        workload: of(child.id())?,
        started_at_ms: None,
        exit: None,
    })
}

/// Tells the child what to become. It answers only if it could not.
fn execute(job: &Job, to_child: &mut UnixStream, log_writer: PipeWriter) -> Result<(), ExecFailure> {
    let failed = |error: io::Error| ExecFailure { message: error.to_string(), errno: error.raw_os_error() };
    let mut env = job.env.clone();
    env.insert(UID_VARIABLE.to_owned(), job.uid.clone());
    env.insert(HOST_VARIABLE.to_owned(), job.host_id.clone());
    let program = Program {
        program: job.program.clone(),
        args: job.args.clone(),
        env,
        current_dir: job.current_dir.clone(),
        log_stdout: job.log_stdout,
    };
    let mut text = serde_json::to_vec(&program).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    send_descriptor(to_child, &log_writer).and_then(|()| to_child.write_all(&text)).map_err(failed)?;
    drop(log_writer);
    let mut answer = Vec::new();
    to_child.read_to_end(&mut answer).map_err(failed)?;
    if answer.is_empty() {
        return Ok(());
    }
    Err(serde_json::from_slice(&answer).map_err(|error| failed(error.into()))?)
}

fn send_descriptor(socket: &UnixStream, descriptor: &PipeWriter) -> io::Result<()> {
    let descriptors = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(b"x")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The workload while it runs.
struct Watch<'a> {
    job: &'a Job,
    plugin: &'a mut Plugin,
    signals: SignalFd,
    output: PipeReader,
    log: Log,
    /// When whatever still runs is killed.
    kill_at: Option<Instant>,
}

impl Watch<'_> {
    /// Runs until the workload's first process has ended, kills what else there is, and tells how it ended.
    fn until_exit(&mut self, workload: Pid) -> io::Result<Exit> {
        let flags = rustix::fs::fcntl_getfl(&self.output)?;
        rustix::fs::fcntl_setfl(&self.output, flags | OFlags::NONBLOCK)?;
        let mut has_output = true;
        let exit = loop {
            let ready = self.wait(has_output)?;
            if ready.output {
                has_output = self.read_output();
            }
            if ready.plugin {
                self.plugin_gone(workload);
            }
            if ready.signals {
                self.take_signals(workload);
            }
            if self.kill_at.is_some_and(|at| at <= Instant::now()) {
                let _ = kill_process_group(workload, Signal::KILL);
                self.kill_at = None;
            }
            if let Some(status) = reap(workload)? {
                break exit_of(status);
            }
        };
        children::kill_all()?;
        while self.read_output() && self.wait_briefly()? {}
        self.log.finish();
        Ok(exit)
    }

    fn wait(&self, has_output: bool) -> io::Result<Ready> {
        let timeout = self.kill_at.map(|at| timespec(at.saturating_duration_since(Instant::now())));
        let mut watched = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if has_output {
            watched.push(PollFd::new(&self.output, PollFlags::IN));
        }
        if let Some(socket) = &self.plugin.0 {
            watched.push(PollFd::new(socket, PollFlags::IN));
        }
        match poll(&mut watched, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |at: usize| watched.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let plugin_at = if has_output { 2 } else { 1 };
        Ok(Ready { signals: is_ready(0), output: has_output && is_ready(1), plugin: is_ready(plugin_at) })
    }

    /// Whether there is output left to read; a descriptor that was handed out of the workload's tree may keep the
    /// pipe open for ever.
    fn wait_briefly(&self) -> io::Result<bool> {
        let mut watched = [PollFd::new(&self.output, PollFlags::IN)];
        poll(&mut watched, Some(&timespec(Duration::ZERO)))?;
        Ok(!watched[0].revents().is_empty())
    }

    /// Takes what there is; false at the end.
    fn read_output(&mut self) -> bool {
        let mut chunk = [0; 64 * 1024];
        match self.output.read(&mut chunk) {
            Ok(0) => false,
            Ok(read) => {
                self.log.take(&chunk[..read]);
                true
            }
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    /// The plugin says nothing more once the workload runs: what is ready to be read is the end.
    fn plugin_gone(&mut self, workload: Pid) {
        let mut byte = [0];
        let ended = self.plugin.0.as_mut().is_none_or(|socket| !matches!(socket.read(&mut byte), Ok(1..)));
        if !ended {
            return;
        }
        self.plugin.0 = None;
        if !self.job.survives {
            let _ = kill_process_group(workload, Signal::TERM);
            self.kill_at = Some(Instant::now() + Duration::from_millis(self.job.grace_ms));
        }
    }

    fn take_signals(&mut self, workload: Pid) {
        while let Ok(Some(received)) = self.signals.read_signal() {
            match i32::try_from(received.ssi_signo) {
                Ok(nix::libc::SIGTERM) => {
                    let _ = kill_process_group(workload, Signal::TERM);
                }
                Ok(nix::libc::SIGINT) => self.kill_at = Some(Instant::now()),
                _ => {} // SIGCHLD: `reap` looks.
            }
        }
    }
}

struct Ready {
    signals: bool,
    output: bool,
    plugin: bool,
}

/// Reaps whatever has ended; the status of the workload's first process once it has.
fn reap(workload: Pid) -> io::Result<Option<WaitStatus>> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == workload => return Ok(Some(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    Exit {
        code: status.exit_status(),
        signal: status.terminating_signal(),
        at_ms: Some(now_ms()),
        reason: String::new(),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn timespec(duration: Duration) -> Timespec {
    // A poll's timeout is rounded down by nobody: a millisecond more spares a turn of the loop that finds nothing.
    let duration = if duration.is_zero() { duration } else { duration + Duration::from_millis(1) };
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
