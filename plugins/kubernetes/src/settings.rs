//! This runtime's part of the user's configuration (`runtimes.kubernetes` of `config.json`).
use serde::Deserialize;
use std::path::PathBuf;
use wharf_sdk::{Error, Result};

/// The settings; all of them can be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The kubeconfig, in the place of `KUBECONFIG` and `~/.kube/config`.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context, in the place of the kubeconfig's current one.
    pub(crate) context: Option<String>,
    /// The namespace, in the place of the context's.
    pub(crate) namespace: Option<String>,
    /// The service account of pods. Its token is not mounted.
    pub(crate) service_account: Option<String>,
    /// Secrets of the namespace that registries are asked with.
    pub(crate) image_pull_secrets: Vec<String>,
    /// Absolute paths as mounts mean paths of the node; refused where this is not set.
    pub(crate) host_paths: bool,
    /// The cluster enforces NetworkPolicies. No API says so.
    pub(crate) network_policies: bool,
    /// How long a pod that fits nowhere is waited for, in seconds, such as for an autoscaler.
    pub(crate) scheduling_seconds: Option<u64>,
}

impl Settings {
    /// Of the configuration.
    pub(crate) fn read(value: serde_json::Value) -> Result<Self> {
        if value.is_null() {
            return Ok(Self::default());
        }
        serde_json::from_value(value).map_err(|error| {
            Error::invalid(format!("runtimes.kubernetes in config.json makes no sense: {error}"))
        })
    }
}
