//! A workload that listens, for runtimes that run commands: this binary is known to be there.
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;

/// The first argument that makes this binary listen; the second is the port.
pub const LISTEN_ARGUMENT: &str = "__conformance-listen";

/// Accepts connections on a port of this machine, and ends each at once.
pub fn listen(port: &str) -> ExitCode {
    let Ok(port) = port.parse() else { return ExitCode::FAILURE };
    let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else { return ExitCode::FAILURE };
    listener.incoming().for_each(drop);
    ExitCode::SUCCESS
}
