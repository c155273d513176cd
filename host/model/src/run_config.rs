//! [`RunConfig`]: the definition of a workload and its owner. It is the first file of a workload that is written and the
//! last one that is removed (R01).
//!
//! Fields have ToolHive's names where they mean the same, so that its files can be imported and a reader recognises them.
//! Secrets' values are never here: `secrets` names them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_sdk::{ContainerOptions, Pins, PullPolicy};

use crate::error::{Error, ErrorKind};
use crate::owner::Owner;
use crate::proxy_auth::ProxyAuth;
use crate::raw_json::Opaque;
use crate::restart::RestartPolicy;
use crate::schema_version::SchemaVersion;
use crate::serde_field::{is_zero, null_as_default, text_or_nothing};
use crate::transport::{ProxyMode, Transport};
use crate::uid::Uid;
use crate::workload_name::WorkloadName;

/// The number of servers that a workload has for its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Instances {
    /// All clients use one server.
    #[default]
    Shared,
    /// One for each session, beside the one that tells what there is.
    PerSession,
}

impl Instances {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::PerSession => "per-session",
        }
    }

    /// True of the one that is not written.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Shared)
    }
}

/// The workload of another product of which this one is a copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Imported {
    /// The product.
    pub from: String,
    /// The workload's name there.
    pub name: String,
    /// Only earlier versions wrote it ([`RunConfig::is_of_earlier_import`]). Its value is never looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Value>"))]
    pub handle: Option<Opaque>,
}

/// The definition of a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunConfig {
    /// The version of the file's shape.
    #[serde(default)]
    pub schema_version: SchemaVersion,
    /// The uid of this creation of the workload.
    pub uid: Uid,
    /// The workload's name, which is also that of its files.
    pub name: WorkloadName,
    /// The name of the owner's runtime; empty for a remote workload, and for one of a version that recorded none.
    #[serde(default, deserialize_with = "text_or_nothing", skip_serializing_if = "String::is_empty")]
    pub runtime_name: String,
    /// The owner's engine.
    #[serde(default, deserialize_with = "text_or_nothing", skip_serializing_if = "String::is_empty")]
    pub runtime_instance: String,
    /// The way to the owner.
    #[serde(default, deserialize_with = "text_or_nothing", skip_serializing_if = "String::is_empty")]
    pub runtime_endpoint: String,
    /// The options that the owner was given when the workload was created, beside the user's configuration. The owner
    /// defines their names.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub runtime_options: BTreeMap<String, String>,
    /// The server to run, as the user gave it: `npx://…`, `uvx://…`, a command, a path.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// The container image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The server's wire.
    pub transport: Transport,
    /// The protocol that the proxy of a stdio server offers.
    #[serde(default)]
    pub proxy_mode: ProxyMode,
    /// The number of servers for its clients: one, or one for each session.
    #[serde(default, skip_serializing_if = "Instances::is_shared")]
    pub instances: Instances,
    /// The address that the proxy listens on.
    #[serde(default = "loopback")]
    pub host: String,
    /// The port that the proxy listens on; 0 lets it choose one.
    #[serde(default)]
    pub port: u16,
    /// The clients that may use the proxy. If absent, every program that can connect, as in versions without this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_auth: Option<ProxyAuth>,
    /// The proxy also listens on a Unix socket that only its user can open.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unix_socket: bool,
    /// Web origins that may call the proxy, beside the proxy's own, as `scheme://host[:port]`.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
    /// Names, beside those of loopback, under which clients reach the proxy: `name` with any port, or `name:port`.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
    /// The path at which an HTTP server serves MCP; empty for `/mcp`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target_path: String,
    /// The port that an HTTP server listens on; 0 if none was asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub target_port: u16,
    /// The address that an HTTP server listens on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target_host: String,
    /// The directory that it runs in: for a command one of this machine, by default the one in which it was created; for an
    /// image one of the image. Empty for the runtime's choice.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Arguments of the server.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub cmd_args: Vec<String>,
    /// Its environment, without secrets.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub env_vars: BTreeMap<String, String>,
    /// The secrets and the variables for them: `NAME,target=VARIABLE`.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Mounts: `SOURCE:WORKLOAD[:OPTIONS]`.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// The user's labels.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The group that it is listed under.
    #[serde(default = "default_group")]
    pub group: String,
    /// The user of the image that it runs as; the image's own user if empty.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// When to fetch its image; if absent, when it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<PullPolicy>,
    /// Its permission profile: enforced by the owner, opaque to the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_profile: Option<Value>,
    /// Where the names of files in it led when it was created, as its owner resolved them. A later start is refused if one
    /// leads elsewhere. None where the owner does not resolve names, and in a record of a version that did not ask: then
    /// the next start asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Pins>"))]
    pub pinned: Option<Opaque>,
    /// At most this many processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// At most so much memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// At most this many processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<u64>,
    /// Measures that cannot be enforced where it runs are left out, and the workload is not refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_weaker: bool,
    /// Options that only a runtime that makes containers can honour.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "ContainerOptions::is_empty"
    )]
    pub container: ContainerOptions,
    /// How long it may take to end by itself when it is stopped, in milliseconds; the command's choice if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout_ms: Option<u64>,
    /// Its restart policy.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// The URL of a remote server: such a workload has only a proxy, and no owner (R03).
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub remote_url: String,
    /// When it was created; absent in a file of ToolHive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub created_at: Option<Timestamp>,
    /// The original that it was imported from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// The workload as it was before an edit, until the edited one is ready: else it becomes this one again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Box<RunConfig>>,
}

/// Fields of a RunConfig that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunConfigError {
    /// A remote workload has an owner, against R03.
    #[error("a remote workload ({remote_url}) has no owner, and this one names runtime {runtime_name:?}")]
    RemoteWithOwner {
        /// The remote server.
        remote_url: String,
        /// The runtime that should not be there.
        runtime_name: String,
    },
    /// It does not say what to run.
    #[error("it has none of server, image and remote_url: there is nothing to run")]
    NothingToRun,
    /// The field for its state before an edit holds another workload.
    #[error("its field 'previous' is of another workload, or has one before it")]
    OtherBefore,
}

fn loopback() -> String {
    "127.0.0.1".to_owned()
}

fn default_group() -> String {
    "default".to_owned()
}

impl RunConfig {
    /// A workload with only the defaults: no owner, stdio, on loopback, on a port that the proxy chooses.
    #[must_use]
    pub fn new(uid: Uid, name: WorkloadName, server: impl Into<String>) -> Self {
        Self {
            schema_version: SchemaVersion::CURRENT,
            uid,
            name,
            runtime_name: String::new(),
            runtime_instance: String::new(),
            runtime_endpoint: String::new(),
            runtime_options: BTreeMap::new(),
            server: server.into(),
            image: String::new(),
            transport: Transport::default(),
            proxy_mode: ProxyMode::default(),
            instances: Instances::default(),
            host: loopback(),
            port: 0,
            proxy_auth: None,
            unix_socket: false,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            target_path: String::new(),
            target_port: 0,
            target_host: String::new(),
            working_dir: String::new(),
            cmd_args: Vec::new(),
            env_vars: BTreeMap::new(),
            secrets: Vec::new(),
            volumes: Vec::new(),
            labels: BTreeMap::new(),
            group: default_group(),
            user: String::new(),
            pull: None,
            permission_profile: None,
            pinned: None,
            cpus: None,
            memory_bytes: None,
            pids_limit: None,
            allow_weaker: false,
            container: ContainerOptions::default(),
            stop_timeout_ms: None,
            restart: RestartPolicy::default(),
            remote_url: String::new(),
            created_at: Some(Timestamp::now()),
            imported: None,
            previous: None,
        }
    }

    /// The recorded pins.
    ///
    /// # Errors
    /// They cannot be read: without them, a name could lead elsewhere unnoticed.
    pub fn pins(&self) -> Result<Option<Pins>, Error> {
        self.pinned.as_ref().map(Opaque::read).transpose().map_err(|error| {
            let doing = format!("the field 'pinned' in the RunConfig of '{}' cannot be read", self.name);
            Error::caused(ErrorKind::Failed, doing, &error)
        })
    }

    /// Records pins.
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub fn set_pins(&mut self, pins: Option<&Pins>) -> Result<(), Error> {
        let kept = pins.map(|pins| Pins { closed: Vec::new(), ..pins.clone() });
        let pinned = kept.as_ref().map(Opaque::of).transpose();
        self.pinned = pinned
            .map_err(|error| Error::caused(ErrorKind::Failed, "the pins cannot be recorded", &error))?;
        Ok(())
    }

    /// The owner, if one was recorded. A remote workload has none (R03), and one of an older version neither (R07).
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        if self.runtime_name.trim().is_empty() {
            return None;
        }
        Some(Owner {
            runtime_name: self.runtime_name.clone(),
            runtime_instance: self.runtime_instance.clone(),
            runtime_endpoint: self.runtime_endpoint.clone(),
        })
    }

    /// The clients that may use its proxy.
    #[must_use]
    pub fn auth(&self) -> ProxyAuth {
        self.proxy_auth.unwrap_or(ProxyAuth::None)
    }

    /// Records the owner. Nothing else changes.
    pub fn set_owner(&mut self, owner: Owner) {
        self.runtime_name = owner.runtime_name;
        self.runtime_instance = owner.runtime_instance;
        self.runtime_endpoint = owner.runtime_endpoint;
    }

    /// True for a record of an earlier version, whose import served another product's container until wharf had made one of
    /// its own. This version makes copies: such a record can be shown and removed, and its workload imported again.
    #[must_use]
    pub fn is_of_earlier_import(&self) -> bool {
        self.imported.as_ref().is_some_and(|imported| imported.handle.is_some())
    }

    /// Whether it is only a proxy in front of a remote server. Callers check this before anything about owners (R03).
    #[must_use]
    pub fn is_remote(&self) -> bool {
        !self.remote_url.trim().is_empty()
    }

    /// The same workload with another uid: how the server of one of its sessions is deployed, looked for and proven to be
    /// gone.
    #[must_use]
    pub fn with_uid(&self, uid: Uid) -> Self {
        Self { uid, ..self.clone() }
    }

    /// Checks for fields that contradict each other. Done at each read and each write.
    pub fn validate(&self) -> Result<(), RunConfigError> {
        if self.is_remote() && self.owner().is_some() {
            return Err(RunConfigError::RemoteWithOwner {
                remote_url: self.remote_url.clone(),
                runtime_name: self.runtime_name.clone(),
            });
        }
        if !self.is_remote() && self.server.trim().is_empty() && self.image.trim().is_empty() {
            return Err(RunConfigError::NothingToRun);
        }
        match &self.previous {
            None => Ok(()),
            Some(previous)
                if previous.name != self.name || previous.uid != self.uid || previous.previous.is_some() =>
            {
                Err(RunConfigError::OtherBefore)
            }
            Some(previous) => previous.validate(),
        }
    }
}
