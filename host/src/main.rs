//! The binary `wharf`: first the roles that it starts itself in, then the command line.
mod cli;

use std::ffi::OsStr;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let role = std::env::args_os().nth(1);
    // Processes of wharf's own, before anything else: they must stay small and know nothing of the command line.
    match role.as_deref().and_then(OsStr::to_str) {
        Some(wharf::launch::LAUNCHER_ARGUMENT) => {
            wharf::failpoint::arm("launcher");
            wharf::launch::run_launcher(std::env::args().nth(2).as_deref())
        }
        Some(wharf::launch::EXEC_ARGUMENT) => {
            wharf::failpoint::arm("stage");
            wharf::launch::run_exec()
        }
        Some(wharf::launch::INIT_ARGUMENT) => wharf::launch::run_init(),
        Some(wharf::supervise::SUPERVISOR_ARGUMENT) => {
            wharf::failpoint::arm("supervisor");
            cli::own_umask();
            watch_over_ends();
            let code = wharf::supervise::run();
            // Plugins are loaded by now: their destructors must not run.
            wharf::plugin::leave(u8::from(code != ExitCode::SUCCESS))
        }
        Some(wharf::conformance::CASE_ARGUMENT) => {
            cli::own_umask();
            watch_over_ends();
            wharf::plugin::leave(wharf::conformance::run_case())
        }
        Some(wharf::plugin::PROBE_ARGUMENT) => {
            cli::own_umask();
            let library = std::env::args_os().nth(2).unwrap_or_default();
            let code = wharf::error::ErrorKind::Runtime.exit_code();
            wharf::plugin::leave(wharf::plugin::run_probe(library.as_ref(), code))
        }
        Some(wharf::conformance::LISTEN_ARGUMENT) => {
            let port = std::env::args().nth(2).unwrap_or_default();
            wharf::conformance::listen(&port)
        }
        Some(wharf::conformance::CONNECT_ARGUMENT) => {
            let argument = |at| std::env::args().nth(at).unwrap_or_default();
            wharf::conformance::connect(&argument(2), &argument(3))
        }
        Some("__failpoints") if wharf::failpoint::ENABLED => print_failpoints(),
        _ => {
            wharf::failpoint::arm("command");
            watch_over_ends();
            cli::main()
        }
    }
}

/// Processes that load plugins are not ended by one without a word.
fn watch_over_ends() {
    wharf::plugin::watch_over_ends(wharf::error::ErrorKind::Runtime.exit_code());
}

/// Where a test can end a process of this build.
fn print_failpoints() -> ExitCode {
    let names: String = wharf::failpoint::names().map(|name| format!("{name}\n")).collect();
    match std::io::stdout().write_all(names.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
