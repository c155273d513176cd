//! This runtime's part of the user's configuration (`runtimes.kubernetes` of `config.json`).
use serde::Deserialize;
use std::path::PathBuf;
use wharf_sdk::{Error, Result};

/// The settings; all of them are optional.
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
    /// The Secrets of the namespace with credentials for registries.
    pub(crate) image_pull_secrets: Vec<String>,
    /// Allows mounts of absolute paths, which mean paths of the node; refused otherwise.
    pub(crate) host_paths: bool,
    /// States that the cluster enforces NetworkPolicies, which no API tells.
    pub(crate) network_policies: bool,
    /// The image of the pods that try out whether it does: a shell, `nc` and `sleep`.
    pub(crate) probe_image: Option<String>,
    /// How long to wait for a pod that fits on no node, in seconds, for instance for an autoscaler.
    pub(crate) scheduling_seconds: Option<u64>,
}

impl Settings {
    /// Reads the configuration.
    pub(crate) fn read(value: serde_json::Value) -> Result<Self> {
        if value.is_null() {
            return Ok(Self::default());
        }
        let settings: Self = serde_json::from_value(value).map_err(|error| {
            Error::invalid(format!("runtimes.kubernetes in config.json makes no sense: {error}"))
        })?;
        // An empty one, as of a variable that is not set, asks for none.
        let said = |name: Option<String>| name.filter(|name| !name.is_empty());
        Ok(Self { context: said(settings.context), namespace: said(settings.namespace), ..settings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_empty_context_or_namespace_asks_for_none() {
        let empty = Settings::read(json!({ "context": "", "namespace": "" })).unwrap();
        assert_eq!((empty.context, empty.namespace), (None, None));
        let named = Settings::read(json!({ "context": "dev", "namespace": "team" })).unwrap();
        assert_eq!((named.context.as_deref(), named.namespace.as_deref()), (Some("dev"), Some("team")));
    }
}
