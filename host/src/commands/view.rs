//! [`WorkloadView`]: a workload as it is shown: the object of `list --format json`.
use crate::commands::orphan::Orphan;
use jiff::Timestamp;
use serde::Serialize;
use std::{collections::BTreeMap, path::PathBuf};
use wharf_model::{Advice, Desired, ProxyMode, RunConfig, StatusRecord, Transport};
use wharf_model::{Effective, EffectiveState};
use wharf_records::ProxySecret;

/// A workload as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkloadView {
    /// Its name.
    pub name: String,
    /// Its uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The runtime that owns it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_name: String,
    /// The instance of that runtime.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_instance: String,
    /// Where in its runtime it is, by the options of the runtime that lead there, such as the context and the namespace of a
    /// cluster.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub runtime_place: BTreeMap<String, String>,
    /// The SERVER that it runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub package: String,
    /// The URL for clients.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The Unix socket that serves its user, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unix_socket: Option<PathBuf>,
    /// The proxy's port.
    #[serde(skip_serializing_if = "is_zero")]
    pub port: u16,
    /// The server's wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport_type: Option<Transport>,
    /// The protocol that the proxy offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_mode: Option<ProxyMode>,
    /// The effective state.
    pub status: EffectiveState,
    /// The reason for the state.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status_context: String,
    /// The next steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
    /// The state rests on the record alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// The reason for that.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stale_reason: String,
    /// The servers of its sessions, as its runtime shows them: none where one server is shared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub session_servers: Vec<SessionServerView>,
    /// Its group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The user's labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When it was created, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub created_at: Option<Timestamp>,
    /// When it last became ready, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub started_at: Option<Timestamp>,
    /// It is a resource without a RunConfig; its name is what `rm --orphan` takes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub orphan: bool,
    /// The token that clients send; for their configuration, not shown.
    #[serde(skip)]
    pub token: Option<ProxySecret>,
    /// Whether it should run; for filtering, not shown.
    #[serde(skip)]
    pub(crate) wanted: bool,
}

/// The server of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionServerView {
    /// Its uid.
    pub uid: String,
    /// The runtime's own name for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Its state: created, running, stopped, removing, unknown.
    pub state: &'static str,
}

impl SessionServerView {
    /// Whether it serves its session, as far as its runtime tells. One that has ended stays there until somebody removes it.
    pub fn is_alive(&self) -> bool {
        matches!(self.state, "running" | "unknown")
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(port: &u16) -> bool {
    *port == 0
}

impl WorkloadView {
    pub(crate) fn of(run: &RunConfig, record: Option<&StatusRecord>, effective: Effective) -> Self {
        let port = run.port;
        Self {
            name: run.name.to_string(),
            uid: run.uid.to_string(),
            runtime_name: run.runtime_name.clone(),
            runtime_instance: run.runtime_instance.clone(),
            runtime_place: wharf_sdk::endpoint_options(&run.runtime_endpoint),
            package: if run.server.is_empty() { run.image.clone() } else { run.server.clone() },
            url: String::new(),
            unix_socket: None,
            port,
            transport_type: Some(run.transport),
            proxy_mode: Some(run.proxy_mode),
            status: effective.state,
            status_context: effective.context,
            advice: effective.next.map(|next| next.advice(run.name.as_str())).unwrap_or_default(),
            stale: effective.stale.is_some(),
            stale_reason: effective.stale.unwrap_or_default(),
            session_servers: Vec::new(),
            group: run.group.clone(),
            labels: run.labels.clone(),
            created_at: run.created_at,
            started_at: record.and_then(|record| record.started_at),
            orphan: false,
            token: None,
            wanted: record.is_none_or(|record| record.desired == Desired::Running),
        }
    }

    /// Whether clients can reach it.
    pub(crate) fn is_reachable(&self) -> bool {
        self.port != 0 && self.status == EffectiveState::Running
    }

    /// A workload whose RunConfig cannot be read.
    pub(crate) fn unreadable(name: &str, reason: String) -> Self {
        Self {
            name: name.to_owned(),
            uid: String::new(),
            runtime_name: String::new(),
            runtime_instance: String::new(),
            runtime_place: BTreeMap::new(),
            package: String::new(),
            url: String::new(),
            unix_socket: None,
            port: 0,
            transport_type: None,
            proxy_mode: None,
            status: EffectiveState::Unknown,
            status_context: reason,
            advice: Vec::new(),
            stale: false,
            stale_reason: String::new(),
            session_servers: Vec::new(),
            group: String::new(),
            labels: BTreeMap::new(),
            created_at: None,
            started_at: None,
            orphan: false,
            token: None,
            wanted: true,
        }
    }

    /// A resource without a RunConfig.
    pub(crate) fn of_orphan(orphan: &Orphan) -> Self {
        Self {
            uid: orphan.uid.clone(),
            runtime_name: orphan.runtime_name.clone(),
            runtime_instance: orphan.runtime_instance.clone(),
            orphan: true,
            wanted: false,
            advice: orphan.advice(),
            ..Self::unreadable(&orphan.id(), orphan.explanation())
        }
    }
}
