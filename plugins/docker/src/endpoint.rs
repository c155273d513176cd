//! Converts between endpoints, as users, configurations and records write them (`unix:///run/docker.sock`), and paths of
//! sockets.
use std::path::{Path, PathBuf};

/// The path in an endpoint such as `unix:///run/docker.sock`.
pub(crate) fn socket_of(endpoint: &str) -> Result<PathBuf, String> {
    match endpoint.strip_prefix("unix://").map(PathBuf::from) {
        Some(socket) if socket.is_absolute() => Ok(socket),
        Some(_) => Err("the path of a socket must be absolute".to_owned()),
        None => Err("only engines of this machine are used, through their sockets (unix:///…)".to_owned()),
    }
}

/// The endpoint for a socket.
pub(crate) fn endpoint_of(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}
