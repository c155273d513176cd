//! [`NamespaceSpec`]: the launcher's request to init, with everything that init sets up; [`SetUpError`]: the reason why
//! that failed.
use crate::sandbox::Exchanged;
use crate::sandbox::Opened;
use crate::sandbox::opened::Seen;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use wharf_sdk::launch::{Network, Sandbox};

/// Everything that init sets up for a workload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NamespaceSpec<'a> {
    /// Folders whose contents are hidden, except for `places`.
    pub(crate) hidden: Cow<'a, [PathBuf]>,
    /// Those of them whose visible entries can be listed.
    pub(crate) listed: Cow<'a, [PathBuf]>,
    /// What is visible; read-only unless [`Seen::is_written`].
    pub(crate) places: Vec<Seen>,
    /// The working directory. If it is hidden, an empty folder is made in its place.
    pub(crate) current_dir: Cow<'a, Path>,
    /// Whether the workload gets a network of its own.
    pub(crate) own_network: bool,
    /// The ports of the port forward into that network.
    pub(crate) forwarded_ports: Cow<'a, [u16]>,
}

impl<'a> NamespaceSpec<'a> {
    pub(crate) fn of(sandbox: &'a Sandbox, opened: &Opened, current_dir: &'a Path) -> Self {
        Self {
            hidden: Cow::Borrowed(&sandbox.hidden),
            listed: Cow::Borrowed(&sandbox.listed),
            places: opened.seen(),
            current_dir: Cow::Borrowed(current_dir),
            own_network: is_alone(&sandbox.network),
            forwarded_ports: Cow::Borrowed(forwarded_ports(&sandbox.network)),
        }
    }
}

/// True if the workload may connect to no port. Then it gets a network of its own.
pub(crate) fn is_alone(network: &Network) -> bool {
    matches!(network, Network::Ports { connect, .. } if connect.is_empty())
}

/// The ports of the port forward into a network of its own.
pub(crate) fn forwarded_ports(network: &Network) -> &[u16] {
    match network {
        Network::Ports { listen, .. } if is_alone(network) => listen,
        _ => &[],
    }
}

/// The reason why the namespaces were not set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetUpError {
    /// They cannot be made here.
    #[error("{0}")]
    Impossible(String),
    /// They can be made, but a file was replaced between its check and its mount.
    #[error(transparent)]
    Exchanged(#[from] Exchanged),
}

impl From<String> for SetUpError {
    fn from(why: String) -> Self {
        Self::Impossible(why)
    }
}
