//! The binary `wharf`: enters the role that its first argument names (launcher, supervisor, probe, conformance case), or
//! else the command line.
mod cli;

use std::ffi::OsStr;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let role = std::env::args_os().nth(1);
    // These roles come before anything else: their processes must stay small, and know nothing of the command line.
    match role.as_deref().and_then(OsStr::to_str) {
        Some(wharf_launcher::LAUNCHER_ARGUMENT) => {
            wharf_failpoint::arm("launcher");
            wharf_launcher::run_launcher(std::env::args().nth(2).as_deref())
        }
        Some(wharf_launcher::EXEC_ARGUMENT) => {
            wharf_failpoint::arm("stage");
            wharf_launcher::run_exec()
        }
        Some(wharf_launcher::INIT_ARGUMENT) => wharf_launcher::run_init(),
        Some(wharf_supervisor::SUPERVISOR_ARGUMENT) => {
            wharf_failpoint::arm("supervisor");
            cli::own_umask();
            watch_over_ends();
            let code = wharf_supervisor::run();
            // Plugins are loaded by now: their destructors must not run.
            wharf_runtimes::leave(u8::from(code != ExitCode::SUCCESS))
        }
        Some(wharf::conformance::CASE_ARGUMENT) => {
            cli::own_umask();
            watch_over_ends();
            wharf_runtimes::leave(wharf::conformance::run_case())
        }
        Some(wharf_runtimes::PROBE_ARGUMENT) => {
            cli::own_umask();
            let library = std::env::args_os().nth(2).unwrap_or_default();
            let code = wharf_model::ErrorKind::Runtime.exit_code();
            wharf_runtimes::leave(wharf_runtimes::run_probe(library.as_ref(), code))
        }
        Some(wharf::conformance::LISTEN_ARGUMENT) => {
            let port = std::env::args().nth(2).unwrap_or_default();
            wharf::conformance::listen(&port)
        }
        Some(wharf::conformance::CONNECT_ARGUMENT) => {
            let argument = |at| std::env::args().nth(at).unwrap_or_default();
            wharf::conformance::connect(&argument(2), &argument(3))
        }
        Some("__failpoints") if wharf_failpoint::ENABLED => print_failpoints(),
        _ => {
            wharf_failpoint::arm("command");
            watch_over_ends();
            cli::main()
        }
    }
}

/// Makes a process that loads plugins report when a plugin ends it.
fn watch_over_ends() {
    wharf_runtimes::watch_over_ends(wharf_model::ErrorKind::Runtime.exit_code());
}

/// Prints the names of this build's failpoints.
fn print_failpoints() -> ExitCode {
    let names: String = wharf_failpoint::names().map(|name| format!("{name}\n")).collect();
    match std::io::stdout().write_all(names.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
