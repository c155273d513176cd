//! Translates a RunConfig of ToolHive's into one of wharf's: a pure function.
use crate::commands::import::toolhive::folder::{Fields, File};
use crate::commands::import::toolhive::profile::{in_force, without_volumes};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use wharf_model::{ProxyMode, RunConfig, Transport, Uid, WorkloadName, says_nothing};
use wharf_records::Kept;

/// Fields of a RunConfig that are translated, or that are only about ToolHive's container.
const TRANSLATED: [&str; 20] = [
    "schema_version",
    "image",
    "name",
    "base_name",
    "container_name",
    "container_labels",
    "transport",
    "host",
    "port",
    "target_port",
    "target_host",
    "proxy_mode",
    "group",
    "cmd_args",
    "env_vars",
    "secrets",
    "volumes",
    "permission_profile",
    "remote_url",
    "allowed_origins",
];
/// Fields of wharf's that ToolHive does not have, or that mean something else there: a file of ToolHive's cannot set them.
const WHARFS_OWN: [&str; 27] = [
    "uid",
    "unix_socket",
    "runtime_name",
    "runtime_instance",
    "runtime_endpoint",
    "runtime_options",
    "server",
    "instances",
    "user",
    "pull",
    "pinned",
    "container",
    "stop_timeout_ms",
    "previous",
    "working_dir",
    "labels",
    "cpus",
    "memory_bytes",
    "pids_limit",
    "allow_weaker",
    "restart",
    "created_at",
    "imported",
    "target_host",
    "target_path",
    "allowed_hosts",
    "proxy_auth",
];
/// The variables that tell a server its port. wharf sets them itself, as the runtime needs it.
const TOLD: [&str; 3] = ["MCP_PORT", "FASTMCP_PORT", "MCP_HOST"];

/// The translation of a workload.
#[derive(Debug)]
pub struct Translation {
    /// The RunConfig, without an owner.
    pub run: RunConfig,
    /// The fields that wharf does not implement, to be kept in the file.
    pub kept: Kept,
    /// The names of those of them that have a value.
    pub not_implemented: Vec<String>,
    /// The differences from the original, each in words.
    pub changed: Vec<String>,
}

/// The reason why this version of wharf cannot run a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is a remote server (R03): it has no owner that could be proven, and this version cannot serve it.
    #[error("it is the remote server {url}, and this version of wharf does not serve remote servers")]
    Remote {
        /// Its URL.
        url: String,
    },
    /// A transport that wharf does not serve.
    #[error("its transport is {transport:?}, which this version of wharf does not serve")]
    Transport {
        /// The transport, as it is written.
        transport: String,
    },
    /// It does not say what to run.
    #[error("it has neither an image nor a remote URL")]
    NothingToRun,
}

/// Translates a RunConfig. The caller chooses name and uid.
///
/// # Errors
/// This version of wharf cannot run such a workload.
pub fn translate(file: &File, name: WorkloadName, uid: Uid) -> Result<Translation, Refusal> {
    let fields = &file.fields;
    if let Some(url) = said(fields.remote_url.as_deref()) {
        return Err(Refusal::Remote { url: url.to_owned() });
    }
    let image = said(fields.image.as_deref()).ok_or(Refusal::NothingToRun)?;
    let mut changed = Vec::new();
    let mut run = RunConfig::new(uid, name, "");
    image.clone_into(&mut run.image);
    run.created_at = None;
    run.transport = transport(said(fields.transport.as_deref()).unwrap_or("stdio"))?;
    if run.transport == Transport::Stdio && said(fields.proxy_mode.as_deref()) == Some("sse") {
        changed.push("proxy_mode: streamable-http instead of sse; its clients need the new URL".to_owned());
    }
    run.proxy_mode = ProxyMode::StreamableHttp;
    run.host = host(fields, &mut changed);
    run.port = fields.port.unwrap_or_default();
    run.allowed_origins = fields.allowed_origins.clone().unwrap_or_default();
    run.cmd_args = fields.cmd_args.clone().unwrap_or_default();
    run.volumes = fields.volumes.clone().unwrap_or_default();
    run.secrets = secrets(fields, &mut changed);
    run.env_vars = fields.env_vars.clone().unwrap_or_default();
    if run.transport != Transport::Stdio {
        let told = run.env_vars.get("MCP_PORT").and_then(|port| port.parse().ok());
        run.target_port = fields.target_port.filter(|port| *port != 0).or(told).unwrap_or_default();
        run.env_vars.retain(|name, _| !TOLD.contains(&name.as_str()));
    }
    run.labels = labels(fields, &mut changed);
    if let Some(group) = said(fields.group.as_deref()) {
        group.clone_into(&mut run.group);
    }
    let is_isolated = fields.isolate_network.unwrap_or_default();
    let profile = fields.permission_profile.as_ref().map(|profile| without_volumes(profile, &run.volumes));
    let (profile, note) = in_force(profile.as_ref(), is_isolated);
    run.permission_profile = profile;
    changed.extend(note);
    let (kept, not_implemented) = rest(&file.members, &mut changed);
    Ok(Translation { run, kept, not_implemented, changed })
}

fn said(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

fn transport(text: &str) -> Result<Transport, Refusal> {
    match text {
        "stdio" => Ok(Transport::Stdio),
        "streamable-http" => Ok(Transport::StreamableHttp),
        other => Err(Refusal::Transport { transport: other.to_owned() }),
    }
}

/// The address that the proxy listens on. wharf's listens only for this machine.
fn host(fields: &Fields, changed: &mut Vec<String>) -> String {
    const LOOPBACK: &str = "127.0.0.1";
    match said(fields.host.as_deref()) {
        None | Some("localhost") => LOOPBACK.to_owned(),
        Some(host) if host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) => host.to_owned(),
        Some(host) => {
            changed.push(format!("host: {LOOPBACK} instead of {host}; other machines do not reach it"));
            LOOPBACK.to_owned()
        }
    }
}

/// References to secrets are kept; their values stay in ToolHive, and are not read.
fn secrets(fields: &Fields, changed: &mut Vec<String>) -> Vec<String> {
    let secrets = fields.secrets.clone().unwrap_or_default();
    if !secrets.is_empty() {
        let names: Vec<&str> =
            secrets.iter().map(|text| text.split_once(',').map_or(text.as_str(), |(name, _)| name)).collect();
        changed.push(format!(
            "secrets: put the values of {} into the folder secrets of wharf's configuration; ToolHive's are not read",
            names.join(", ")
        ));
    }
    secrets
}

/// The user's labels, without those of either product, which describe its own containers.
fn labels(fields: &Fields, changed: &mut Vec<String>) -> BTreeMap<String, String> {
    let all = fields.container_labels.clone().unwrap_or_default();
    let is_wharfs = |name: &str| name.starts_with("wharf.");
    if let Some(name) = all.keys().find(|name| is_wharfs(name)) {
        changed.push(format!("labels: {name} is wharf's own and was left out"));
    }
    let is_toolhives =
        |name: &str| name == crate::commands::import::toolhive::MARK.0 || name.starts_with("toolhive-");
    all.into_iter().filter(|(name, _)| !is_wharfs(name) && !is_toolhives(name)).collect()
}

/// The members that were not translated, and the names of those that have a value.
fn rest(members: &Kept, changed: &mut Vec<String>) -> (Kept, Vec<String>) {
    let mut kept = Kept::new();
    let mut named = Vec::new();
    for (name, value) in members {
        let says_something =
            serde_json::from_str::<Value>(value.get()).is_ok_and(|value| !says_nothing(&value));
        if WHARFS_OWN.contains(&name.as_str()) {
            if says_something && name != "target_host" {
                changed.push(format!("{name}: left out; what wharf means by it ToolHive does not say"));
            }
        } else if !TRANSLATED.contains(&name.as_str()) {
            kept.insert(name.clone(), value.clone());
            // It has had its effect: it decided which part of the profile counts.
            let has_effect = name == "isolate_network";
            named.extend((says_something && !has_effect).then(|| name.clone()));
        }
    }
    (kept, named)
}

#[cfg(test)]
mod tests;
