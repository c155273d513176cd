//! [`Relay`]: the parent of the program in a pid namespace.
//!
//! In the namespace the launcher, which is outside, has the number 0, and init has 1. Servers that watch their parent take
//! either for "my client is gone" and end themselves. So the exec helper does not become the program there: it stays, and
//! starts the program as its child, which sees a parent with an ordinary number, as below any client.
//!
//! It is the process on record, so whatever ends it ends the workload: the launcher then ends init, and the kernel all the
//! rest. It passes signals on, and ends as the program ends. It is in the sandbox like the program.
use nix::{
    sys::signal::{SigSet, Signal, killpg, raise},
    unistd::Pid,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::{
    fs::File,
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitCode, ExitStatus},
};

/// Shells add this to the number of a signal to make an exit code of it.
const KILLED_BY: i32 = 128;

/// The program, as its parent holds it.
pub(crate) struct Relay {
    program: Child,
}

impl Relay {
    /// Starts the program with this process's stdin, stdout and stderr, and lets go of them: only the program may hold its
    /// pipes, or their ends would never be noticed. `null` is `/dev/null`, which the sandbox may not open.
    pub(crate) fn start(command: &mut Command, null: &File) -> io::Result<Self> {
        // In a group of its own: a signal for this process's group comes here alone, and is passed on once.
        let mut program = command.process_group(0).spawn()?;
        let let_go = || -> io::Result<()> {
            rustix::stdio::dup2_stdin(null)?;
            rustix::stdio::dup2_stdout(null)?;
            rustix::stdio::dup2_stderr(null)?;
            Ok(SigSet::all().thread_block()?)
        };
        if let Err(error) = let_go() {
            let _ = program.kill();
            return Err(error);
        }
        Ok(Self { program })
    }

    /// Passes signals on until the program has ended, and ends as it did.
    pub(crate) fn until_the_end(mut self) -> ExitCode {
        let group = Pid::from_raw(self.program.id().cast_signed());
        loop {
            // A program that ended before the signals were blocked sends none any more, so it is asked for first.
            match self.program.try_wait() {
                Ok(Some(status)) => return end_as(status),
                Ok(None) => {}
                Err(_) => return ExitCode::FAILURE,
            }
            match SigSet::all().wait() {
                // A signal without a name here, a real-time one, is not passed on.
                Ok(Signal::SIGCHLD) | Err(_) => {}
                // The program has not been reaped, so its number is its own.
                Ok(signal) => drop(killpg(group, signal)),
            }
        }
    }
}

/// The same end: by the same signal, or with the same code.
fn end_as(status: ExitStatus) -> ExitCode {
    if let Some(code) = status.code() {
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    let number = status.signal().unwrap_or_default();
    if let Ok(signal) = Signal::try_from(number) {
        if signal == Signal::SIGPIPE {
            // Rust ignores this one from the beginning, and gives it its usual effect back before it executes something:
            // also where there is nothing to execute.
            let _ = Command::new("/dev/null/nothing").exec();
        }
        // The program has left its core file.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let _ = SigSet::from(signal).thread_unblock();
        let _ = raise(signal);
    }
    ExitCode::from(u8::try_from(KILLED_BY + number).unwrap_or(u8::MAX))
}
