//! Workloads that listen and that connect, for runtimes that run commands: this binary is certainly there.
use std::{
    io,
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    process::ExitCode,
    thread,
    time::Duration,
};

/// The first argument that makes this binary listen; the second is the port.
pub const LISTEN_ARGUMENT: &str = "__conformance-listen";

/// Accepts connections on a port of this machine, and writes back what each sends.
pub fn listen(port: &str) -> ExitCode {
    let Ok(port) = port.parse() else { return ExitCode::FAILURE };
    let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else { return ExitCode::FAILURE };
    for connection in listener.incoming().flatten() {
        // Each connection has a thread, so that a silent one does not block the others.
        thread::spawn(move || io::copy(&mut &connection, &mut &connection));
    }
    ExitCode::SUCCESS
}

/// The first argument that makes this binary connect. The next ones are addresses, separated by spaces, and the port.
pub const CONNECT_ARGUMENT: &str = "__conformance-connect";
/// How long an attempt may take; the listener is on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Succeeds if it can connect to a port at one of these addresses.
pub fn connect(hosts: &str, port: &str) -> ExitCode {
    let Ok(port) = port.parse() else { return ExitCode::FAILURE };
    let mut addresses = hosts.split_whitespace().filter_map(|host| host.parse::<IpAddr>().ok());
    let connects = |address| TcpStream::connect_timeout(&(address, port).into(), CONNECT_TIMEOUT).is_ok();
    if addresses.any(connects) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
