//! The binary `wharf`.
use std::process::ExitCode;

fn main() -> ExitCode {
    // Processes of wharf's own, before anything else: they must stay small and know nothing of the command line.
    match std::env::args_os().nth(1).and_then(|argument| argument.into_string().ok()).as_deref() {
        Some(wharf::launch::LAUNCHER_ARGUMENT) => wharf::launch::run_launcher(),
        Some(wharf::launch::EXEC_ARGUMENT) => wharf::launch::run_exec(),
        Some(wharf::supervise::SUPERVISOR_ARGUMENT) => wharf::supervise::run(),
        _ => ExitCode::FAILURE,
    }
}
