//! Turns an engine's answer about a container into an observation.
use crate::{confinement, handle::HandleData, image_id::bare, labels};
use serde::Deserialize;
use std::collections::HashMap;
use wharf_sdk::{Address, Check, Condition, Error, Exit, OUT_OF_MEMORY, Observation, Result, WorkloadState};

/// The number of an id's digits that people are shown.
const SHORT_ID: usize = 12;
/// The beginning of an exited container's status in listings: `Exited (137) 2 minutes ago`.
const EXITED: &str = "Exited (";

/// Both engines' name for the state of a container that somebody has paused.
const PAUSED: &str = "paused";

/// The fields of a listed container that are read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Summary {
    pub(crate) id: Option<String>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    labels: Option<HashMap<String, String>>,
    state: Option<String>,
    status: Option<String>,
    ports: Option<Vec<Port>>,
    /// What the engine says of it by its id, where it was asked.
    #[serde(skip)]
    pub(crate) inspected: Option<Inspection>,
}

impl Summary {
    /// One of our labels.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether the container has its uid from its image, and so was not made by wharf.
    pub(crate) fn is_made_of(&self, copies: &HashMap<String, String>) -> bool {
        let image = self.image_id.as_deref().and_then(|id| copies.get(bare(id)));
        image.is_some_and(|uid| self.label(labels::UID) == Some(uid))
    }

    /// True if its labels say that this instance made it, for the workload that they name.
    pub(crate) fn is_made_by(&self, instance: &str) -> bool {
        let (Some(host_id), Some(uid)) = (self.label(labels::HOST_ID), self.label(labels::UID)) else {
            return false;
        };
        self.label(labels::INSTANCE) == Some(&labels::of_instance(instance, host_id, uid))
    }

    /// Whether Podman is still cleaning up after the container's end.
    pub(crate) fn is_being_cleaned_up(&self) -> bool {
        self.state.as_deref() == Some("stopped")
    }

    /// All of its labels.
    pub(crate) fn into_labels(self) -> Option<HashMap<String, String>> {
        self.labels
    }

    /// Its state.
    pub(crate) fn doing(&self) -> WorkloadState {
        match &self.inspected {
            Some(Inspection { state: Some(state), .. }) => workload_state(state.status.as_deref()),
            _ => workload_state(self.state.as_deref()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Port {
    public_port: Option<u16>,
}

/// The fields of an inspected container that are read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Inspection {
    id: Option<String>,
    config: Option<Config>,
    state: Option<State>,
    network_settings: Option<Network>,
    host_config: Option<confinement::Settings>,
}

impl Inspection {
    /// Host id and uid, from its labels.
    pub(crate) fn owner(&self) -> (Option<&str>, Option<&str>) {
        let label = |name| self.config.as_ref()?.labels.as_ref()?.get(name).map(String::as_str);
        (label(labels::HOST_ID), label(labels::UID))
    }

    /// The pid of its first process, as the engine numbers it.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.state.as_ref()?.pid
    }

    /// Its id.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    labels: Option<HashMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: Option<String>,
    running: Option<bool>,
    exit_code: Option<i64>,
    #[serde(rename = "OOMKilled")]
    oom_killed: Option<bool>,
    error: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    pid: Option<i32>,
    paused: Option<bool>,
    /// Docker's name for it.
    health: Option<Verdict>,
    /// Podman's, in some versions.
    healthcheck: Option<Verdict>,
}

/// What the check says that comes with the image.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Verdict {
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    ports: Option<HashMap<String, Option<Vec<Binding>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    host_port: Option<String>,
}

/// The observation of a listed container. None if it lacks the labels of a workload.
pub(crate) fn of_summary(mut seen: Summary) -> Option<Observation> {
    let mut observation = observation(seen.id.take()?, &seen.labels.take().unwrap_or_default())?;
    if let Some(inspected) = seen.inspected.take() {
        fill_from_inspection(&mut observation, inspected);
        return Some(observation);
    }
    fill_from_summary(&mut observation, &seen);
    let port = seen.ports.unwrap_or_default().into_iter().find_map(|port| port.public_port);
    observation.address = port.map(Address::loopback);
    Some(observation)
}

fn fill_from_summary(observation: &mut Observation, seen: &Summary) {
    observation.state = workload_state(seen.state.as_deref());
    if observation.state == WorkloadState::Stopped {
        let code = seen
            .status
            .as_deref()
            .and_then(|status| status.strip_prefix(EXITED)?.split_once(')')?.0.parse().ok());
        observation.exit = Some(Exit { code, ..Exit::default() });
    }
    let status = seen.status.as_deref().unwrap_or_default();
    let check = [
        ("(healthy)", Check::Healthy),
        ("(unhealthy)", Check::Unhealthy),
        ("(health: starting)", Check::Starting),
    ];
    observation.condition = Condition {
        paused: seen.state.as_deref() == Some(PAUSED),
        check: check.into_iter().find(|(words, _)| status.ends_with(words)).map(|(_, check)| check),
    };
}

/// The observation of an inspected container.
pub(crate) fn of_inspection(seen: Inspection) -> Result<Observation> {
    // Without labels in the answer, nothing shows that the container is another's, so this is an error and not `not_found`.
    let Inspection {
        id: Some(id),
        config: Some(Config { labels: Some(labels) }),
        state,
        network_settings,
        host_config,
    } = seen
    else {
        return Err(Error::internal("the engine's answer lacks the container's id or its labels"));
    };
    let mut observation = observation(id, &labels)
        .ok_or_else(|| Error::not_found("the container with the recorded id is not wharf's"))?;
    let config = Some(Config { labels: Some(labels) });
    let seen = Inspection { id: None, config, state, network_settings, host_config };
    fill_from_inspection(&mut observation, seen);
    Ok(observation)
}

fn fill_from_inspection(observation: &mut Observation, seen: Inspection) {
    let labels = seen.config.and_then(|config| config.labels).unwrap_or_default();
    observation.confinement =
        seen.host_config.map(|settings| settings.confinement(labels.get(labels::WEAKER)));
    fill_from_state(observation, &seen.state.unwrap_or_default());
    let ports = seen.network_settings.and_then(|network| network.ports).unwrap_or_default();
    let port = ports.into_values().flatten().flatten().find_map(|binding| binding.host_port?.parse().ok());
    observation.address = port.map(Address::loopback);
}

fn fill_from_state(observation: &mut Observation, state: &State) {
    observation.state = workload_state(state.status.as_deref());
    if observation.state == WorkloadState::Stopped {
        observation.exit = Some(exit(state));
    }
    observation.started_at_ms = began(state);
    let verdict =
        [&state.health, &state.healthcheck].into_iter().flatten().find_map(|it| it.status.as_deref());
    let runs = observation.state == WorkloadState::Running;
    observation.condition = Condition {
        paused: runs && state.paused == Some(true),
        check: verdict.filter(|_| runs).and_then(check),
    };
}

/// A verdict by its name; none where there is no check.
fn check(name: &str) -> Option<Check> {
    match name {
        "" | "none" => None,
        "starting" => Some(Check::Starting),
        "healthy" => Some(Check::Healthy),
        "unhealthy" => Some(Check::Unhealthy),
        _ => Some(Check::Unknown),
    }
}

/// When it last ended, in milliseconds after the epoch, even if it was started again since; none if it never did.
pub(crate) fn last_end(seen: &Inspection) -> Option<u64> {
    seen.state.as_ref()?.finished_at.as_deref().and_then(millis)
}

/// When it was started last, in milliseconds after the epoch; none if it never was.
pub(crate) fn last_start(seen: &Inspection) -> Option<u64> {
    began(seen.state.as_ref()?)
}

fn began(state: &State) -> Option<u64> {
    state.started_at.as_deref().and_then(millis)
}

/// Whether somebody has paused it.
pub(crate) fn is_paused(seen: &Inspection) -> bool {
    seen.state.as_ref().is_some_and(|state| state.status.as_deref() == Some(PAUSED))
}

/// Whether it runs; true if the answer does not say.
pub(crate) fn runs(seen: &Inspection) -> bool {
    seen.state.as_ref().and_then(|state| state.running).unwrap_or(true)
}

/// The state by its name: Docker's names, and Podman's `stopped` for a container that has ended and is still being cleaned
/// up.
fn workload_state(name: Option<&str>) -> WorkloadState {
    match name {
        Some("created") => WorkloadState::Created,
        Some("running" | PAUSED | "restarting" | "stopping") => WorkloadState::Running,
        Some("exited" | "stopped") => WorkloadState::Stopped,
        Some("removing" | "dead") => WorkloadState::Removing,
        _ => WorkloadState::Unknown,
    }
}

/// The observation of a container, with uid and host id alone; none if it lacks the labels that make it ours.
fn observation(container: String, labels: &HashMap<String, String>) -> Option<Observation> {
    let (uid, host_id) = (labels.get(labels::UID)?.clone(), labels.get(labels::HOST_ID)?.clone());
    let target_port = labels.get(labels::TARGET_PORT).and_then(|port| port.parse().ok());
    let object = container.get(..SHORT_ID).unwrap_or(&container).to_owned();
    let handle = Some(HandleData { container, target_port }.to_handle(&uid));
    let parent = labels.get(labels::PARENT).filter(|parent| !parent.is_empty()).cloned();
    Some(Observation {
        uid,
        host_id,
        parent,
        handle,
        object,
        state: WorkloadState::Unknown,
        exit: None,
        started_at_ms: None,
        address: None,
        confinement: None,
        condition: wharf_sdk::Condition::default(),
    })
}

fn exit(state: &State) -> Exit {
    let reason = match (state.oom_killed, state.error.as_deref()) {
        (Some(true), _) => OUT_OF_MEMORY.to_owned(),
        (_, error) => error.unwrap_or_default().to_owned(),
    };
    Exit {
        code: state.exit_code.and_then(|code| i32::try_from(code).ok()),
        signal: None,
        at_ms: state.finished_at.as_deref().and_then(millis),
        reason,
        restarts: false,
    }
}

/// A time in milliseconds after the epoch. None for the year 1, which engines write for events that have not happened.
fn millis(time: &str) -> Option<u64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

#[cfg(test)]
mod tests;
