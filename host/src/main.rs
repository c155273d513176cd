//! The binary `wharf`.
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: the launcher stays as long as its workload does, and must be light.
    match std::env::args_os().nth(1).as_deref().and_then(std::ffi::OsStr::to_str) {
        Some(wharf::launch::LAUNCHER_ARGUMENT) => wharf::launch::run_launcher(),
        Some(wharf::launch::EXEC_ARGUMENT) => wharf::launch::run_exec(),
        _ => ExitCode::SUCCESS,
    }
}
