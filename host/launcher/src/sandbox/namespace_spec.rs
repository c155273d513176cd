//! [`NamespaceSpec`]: what init makes for a workload, as the launcher asks for it; and why it could not be made.
use crate::sandbox::Exchanged;
use crate::sandbox::Opened;
use crate::sandbox::opened::Seen;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use wharf_sdk::launch::{Network, Sandbox};

/// What init makes for a workload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NamespaceSpec<'a> {
    /// Folders of which nothing is seen but what the other list has.
    pub(crate) hidden: Cow<'a, [PathBuf]>,
    /// What it sees, read-only but for what it may write.
    pub(crate) places: Vec<Seen>,
    /// Where it runs; it is there, if empty.
    pub(crate) current_dir: Cow<'a, Path>,
    /// Whether it has a network of its own, with nobody in it.
    pub(crate) alone: bool,
    /// The ports through which it is reached there.
    pub(crate) doors: Cow<'a, [u16]>,
}

impl<'a> NamespaceSpec<'a> {
    pub(crate) fn of(sandbox: &'a Sandbox, opened: &Opened, current_dir: &'a Path) -> Self {
        Self {
            hidden: Cow::Borrowed(&sandbox.hidden),
            places: opened.seen(),
            current_dir: Cow::Borrowed(current_dir),
            alone: is_alone(&sandbox.network),
            doors: Cow::Borrowed(doors(&sandbox.network)),
        }
    }
}

/// Whether there is nobody that it may connect to: then it needs nobody's network.
pub(crate) fn is_alone(network: &Network) -> bool {
    matches!(network, Network::Ports { connect, .. } if connect.is_empty())
}

/// The ports through which it is reached in a network of its own.
pub(crate) fn doors(network: &Network) -> &[u16] {
    match network {
        Network::Ports { listen, .. } if is_alone(network) => listen,
        _ => &[],
    }
}

/// Why a room was not furnished.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetUpError {
    /// It cannot be made here.
    #[error("{0}")]
    Impossible(String),
    /// It could be made, and would show something else.
    #[error(transparent)]
    Exchanged(#[from] Exchanged),
}

impl From<String> for SetUpError {
    fn from(why: String) -> Self {
        Self::Impossible(why)
    }
}
