//! The launcher's child: it waits for the word, and becomes the workload.
use super::{ExecFailure, Program};
use rustix::{
    io::fcntl_dupfd_cloexec,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    process::{Signal, getppid, set_parent_process_death_signal, setsid, umask},
    stdio::{dup2_stderr, dup2_stdout, stderr},
};
use std::{
    io::{self, BufRead, BufReader, IoSliceMut, Write},
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::net::UnixStream, unix::process::CommandExt},
    process::{Command, ExitCode},
};

/// Runs the child: descriptors 0 and 1 are the workload's, 2 is a socket to the launcher. The one argument is the
/// launcher's pid.
pub fn run_exec() -> ExitCode {
    let launcher = std::env::args().nth(2).and_then(|text| text.parse::<i32>().ok());
    match become_workload(launcher) {
        // The launcher went away or changed its mind: nothing has run.
        Ok(()) | Err(_) => ExitCode::FAILURE,
    }
}

fn become_workload(launcher: Option<i32>) -> io::Result<()> {
    // A session of its own: its id, this pid, is how what the workload leaves behind is recognised.
    setsid()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != launcher {
        return Ok(()); // It died before the signal was set.
    }
    let mut socket = UnixStream::from(fcntl_dupfd_cloexec(stderr(), 3)?);
    let Some(log) = receive_descriptor(&socket)? else { return Ok(()) };
    let mut line = String::new();
    BufReader::new(&socket).read_line(&mut line)?;
    let program: Program = serde_json::from_str(&line)?;
    dup2_stderr(&log)?;
    if program.log_stdout {
        dup2_stdout(&log)?;
    }
    drop(log);
    umask(rustix::fs::Mode::from_raw_mode(0o022));
    // The socket is closed by exec, which is how the launcher learns that it worked.
    let error = Command::new(&program.program)
        .args(&program.args)
        .env_clear()
        .envs(&program.env)
        .current_dir(&program.current_dir)
        .exec();
    let failure = ExecFailure { message: error.to_string(), errno: error.raw_os_error() };
    socket.write_all(&serde_json::to_vec(&failure)?)
}

/// The descriptor that comes with the launcher's first byte; none if the launcher is gone.
fn receive_descriptor(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let received = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(received)
}
