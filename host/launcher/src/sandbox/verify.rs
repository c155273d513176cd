//! Tests from inside whether a sandbox holds, for `wharf runtime check`.
use crate::sandbox::plan::Plan;
use rustix::{
    process::{getpid, getppid, test_kill_process},
    thread::{SecureComputingMode, capabilities, no_new_privs, secure_computing_mode},
};
use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::Path,
};

/// The actions that must not be possible in the sandbox and are. The sandbox must be one without `/`, and without a port to
/// listen on.
pub(crate) fn escaped(plan: &Plan<'_>, in_namespaces: bool) -> Vec<&'static str> {
    let signals = || getppid().is_some_and(|parent| test_kill_process(parent).is_ok());
    let has_capabilities = capabilities(None).map_or(true, |sets| !sets.permitted.is_empty());
    // The machine's `/proc` has another number for this process than the process has for itself.
    let own_number = getpid().to_string();
    let sees_others = || fs::read_link("/proc/self").map_or(true, |number| number != Path::new(&own_number));
    let changes_modes = || fs::set_permissions("/", fs::Permissions::from_mode(0o755)).is_ok();
    [
        (in_namespaces && sees_others(), "processes outside can be seen"),
        (in_namespaces && changes_modes(), "attributes of files outside can be changed"),
        (plan.restricts_files() && fs::read_dir("/").is_ok(), "a folder outside can be listed"),
        (plan.restricts_processes() && signals(), "a process outside can be signalled"),
        (plan.restricts_ports() && TcpListener::bind("127.0.0.1:0").is_ok(), "a port can be listened on"),
        (UdpSocket::bind("127.0.0.1:0").is_ok(), "datagrams can be sent"),
        (UnixDatagram::unbound().is_ok(), "Unix sockets can be made"),
        (UnixDatagram::pair().is_ok(), "pairs of datagram sockets can be made"),
        (has_capabilities, "there are capabilities"),
        (!no_new_privs().unwrap_or(false), "privileges can be gained"),
        (secure_computing_mode() != Ok(SecureComputingMode::Filter), "system calls are not filtered"),
    ]
    .into_iter()
    .filter_map(|(got_through, what)| got_through.then_some(what))
    .collect()
}
