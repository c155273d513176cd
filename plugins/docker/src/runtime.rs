//! [`ContainerRuntime`]: implements the SDK's traits for one engine. The modules beside it do the work.
use crate::{
    attach,
    conmon::Monitor,
    container,
    endpoint::{endpoint_of, socket_of},
    engine::Engine,
    engine_liveness::{Presence, Presences},
    flavor::Flavor,
    handle::HandleData,
    labels, logs,
    memory_kills::explained,
    memory_watch::MemoryWatches,
    observe,
    remembered::Remembered,
    search::{Found, Surroundings},
    wait_for_end,
};
use futures_util::FutureExt;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use wharf_sdk::{
    Attach, ByteStream, Context, Error, ErrorCode, Exit, Handle, Health, HostServices, Instance, ListQuery,
    Listing, LogOptions, Logs, Observation, Result, Runtime, StopOptions, WorkloadSpec, WorkloadState,
    keyed_lock::KeyedLock,
};

/// The runtime for one engine.
#[derive(Debug)]
pub(crate) struct ContainerRuntime {
    pub(crate) flavor: Flavor,
    pub(crate) host_id: String,
    pub(crate) host: HostServices,
    /// wharf's own folders.
    pub(crate) private_dirs: Vec<PathBuf>,
    /// Orders the work on each workload, by uid. A deployment whose caller gave up goes on until its container is removed,
    /// and the next deployment waits for that.
    pub(crate) turns: KeyedLock,
    pub(crate) presences: Presences,
    memory_watches: MemoryWatches,
    pub(crate) found: Found,
    pub(crate) remembered: Remembered,
    /// The engine that answered last. Another version of it may come back after it went away.
    pub(crate) engine: Mutex<Option<Arc<Engine>>>,
}

/// The container of a workload, inspected.
struct Seen {
    observation: Observation,
    /// Its first process, as the engine numbers it.
    pid: Option<i32>,
    /// When it last ended, even if it was started again since.
    last_end: Option<u64>,
}

/// The part of the user's configuration for this runtime.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Configuration {
    endpoint: Option<String>,
}

impl ContainerRuntime {
    /// The presence that was kept when the container's stdin was attached; a new one if this process did not attach it.
    async fn presence(&self, engine: &Engine, container: &str) -> Result<Presence> {
        match self.presences.take(container) {
            Some(presence) => Ok(presence),
            None => Presence::of(engine, container).await.map_err(|error| self.lost(engine, &error)),
        }
    }

    pub(crate) async fn observe(&self, handle: &Handle) -> Result<Observation> {
        self.look_at(handle).await.map(|seen| seen.observation)
    }

    /// Inspects the container of a workload.
    async fn look_at(&self, handle: &Handle) -> Result<Seen> {
        let data = HandleData::read(handle)?;
        let engine = self.engine().await?;
        let seen = engine.inspect(&data.container).await;
        let seen = seen.map_err(|error| self.failed("the container cannot be inspected", &error))?;
        let (pid, last_end) = (seen.pid(), observe::last_end(&seen));
        let observation = observe::of_inspection(seen)?;
        if observation.uid != handle.uid || observation.host_id != self.host_id {
            return Err(Error::not_found("the container with the recorded id is another workload's"));
        }
        Ok(Seen { observation, pid, last_end })
    }

    /// Waits for the end of a started container.
    async fn ended(
        &self,
        engine: &Engine,
        handle: &Handle,
        container: &str,
        pid: Option<i32>,
        mut presence: Option<&mut Presence>,
    ) -> Result<Exit> {
        let end = self.noted(wait_for_end::of(engine, container, pid, presence.as_deref_mut()).await)?;
        let code = end.code.and_then(|code| i32::try_from(code).ok());
        let seen = self.look_at(handle).await;
        // An engine that shuts down ends its containers first and reports their ends. If its connection broke too, the end
        // was the engine's doing.
        if let Some(Some(Err(error))) = presence.map(|presence| presence.over().now_or_never()) {
            return Err(self.lost(engine, &error));
        }
        // The inspection has more details, but the code alone is enough if the engine is shutting down and the inspection
        // fails.
        match seen {
            Ok(Seen { observation: Observation { exit: Some(exit), started_at_ms, .. }, .. }) => {
                let had_memory_kills =
                    end.had_memory_kills || self.memory_watches.had_kills(container, started_at_ms).await;
                Ok(if had_memory_kills { explained(exit) } else { exit })
            }
            // Somebody has started it again since. It has ended all the same, and the time of that end is known.
            Ok(Seen { observation, last_end, .. }) if observation.state == WorkloadState::Running => {
                Ok(Exit { code, at_ms: last_end, ..Exit::default() })
            }
            _ => Ok(Exit { code, ..Exit::default() }),
        }
    }
}

impl Runtime for ContainerRuntime {
    async fn connect(context: Context) -> Result<Self> {
        let flavor = match context.runtime_name.as_str() {
            "docker" => Flavor::Docker,
            "podman" => Flavor::Podman,
            other => return Err(Error::invalid(format!("this plugin has no runtime '{other}'"))),
        };
        let configuration: Configuration = match context.configuration {
            serde_json::Value::Null => Configuration::default(),
            value => serde_json::from_value(value).map_err(|error| {
                Error::invalid(format!(
                    "runtimes.{} in config.json makes no sense: {error}",
                    flavor.runtime()
                ))
            })?,
        };
        let found =
            match &context.endpoint {
                Some(endpoint) => {
                    let socket = socket_of(endpoint);
                    Found::Socket(socket.map_err(|why| {
                        Error::invalid(format!("the recorded endpoint '{endpoint}': {why}"))
                    })?)
                }
                None => Surroundings::of_this_process().find(flavor, configuration.endpoint.as_deref()).await,
            };
        Ok(Self {
            flavor,
            host_id: context.host_id,
            host: context.host,
            private_dirs: context.private_dirs,
            turns: KeyedLock::default(),
            presences: Presences::default(),
            memory_watches: MemoryWatches::default(),
            found,
            remembered: Remembered::of(flavor, &context.data_dir),
            engine: Mutex::default(),
        })
    }

    async fn instance(&self) -> Result<Instance> {
        let instance = self.instance_of(&*self.engine().await?).await?;
        Ok(Instance { instance, endpoint: endpoint_of(self.socket()?) })
    }

    async fn health(&self) -> Health {
        self.engine_health().await
    }

    async fn validate(&self, spec: &WorkloadSpec) -> Result<()> {
        if spec.host_id != self.host_id {
            return Err(Error::invalid(
                "the specification is of another host than this runtime was connected for",
            ));
        }
        container::body(self.flavor, spec, &self.private_dirs).map(drop)
    }

    async fn deploy(&self, spec: &WorkloadSpec) -> Result<Handle> {
        self.validate(spec).await?;
        self.make(spec).await
    }

    async fn start(&self, handle: &Handle) -> Result<()> {
        let data = HandleData::read(handle)?;
        let seen = self.observe(handle).await?;
        let engine = self.engine().await?;
        if seen.is_paused() {
            let unpaused = engine.client.unpause_container(&data.container).await;
            return unpaused
                .map_err(|error| self.failed("the container is paused, and cannot go on", &error));
        }
        let started = engine.alive(engine.client.start_container(&data.container, None)).await;
        started.map_err(|error| self.failed("the container cannot be started", &error))?;
        self.memory_watches.begin(&engine, &data.container);
        Ok(())
    }

    async fn stop(&self, handle: &Handle, options: StopOptions) -> Result<()> {
        let data = HandleData::read(handle)?;
        let seen = match self.look_at(handle).await {
            Err(error) if error.code == ErrorCode::NotFound => return Ok(()),
            seen => seen?,
        };
        let pid = seen.pid.filter(|pid| *pid > 0 && self.flavor == Flavor::Podman);
        let monitor = pid.and_then(|pid| Monitor::of(&data.container, pid));
        self.unpause(&data.container, &seen.observation).await;
        self.stop_container(&data.container, options.timeout_ms).await?;
        if let Some(monitor) = monitor {
            monitor.ended().await;
        }
        Ok(())
    }

    async fn remove(&self, handle: &Handle) -> Result<()> {
        let data = HandleData::read(handle)?;
        let _turn = self.turns.lock(&handle.uid).await;
        drop(self.presences.take(&data.container));
        self.memory_watches.forget(&data.container);
        if self.is_gone(handle).await? {
            return Ok(());
        }
        self.remove_container(&*self.engine().await?, &data.container).await
    }

    async fn inspect(&self, handle: &Handle) -> Result<Observation> {
        self.observe(handle).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Listing> {
        // A container that is being made for nobody any more is removed first.
        for uid in query.uids.iter().flatten() {
            self.turns.until_free(uid).await;
        }
        let engine = self.engine().await?;
        if query.uids.as_ref().is_some_and(BTreeSet::is_empty) {
            let instance = self.instance_of(&engine).await?;
            return Ok(Listing { complete: true, instance, workloads: Vec::new() });
        }
        let mut wanted = vec![format!("{}={}", labels::HOST_ID, self.host_id)];
        // An engine lists containers that have all labels of a filter. So one workload is asked for by its label; several
        // are picked from a list of all.
        if let Some(uid) = query.uids.as_ref().filter(|uids| uids.len() == 1).and_then(BTreeSet::first) {
            wanted.push(format!("{}={uid}", labels::UID));
        }
        let listed = engine.list_with_instance(&wanted, query.presumed_instance.as_deref()).await;
        let (instance, mut seen) =
            listed.map_err(|error| self.failed("the containers cannot be listed", &error))?;
        // A container without a uid belongs to no workload, although it has our host label.
        seen.retain(|seen| seen.label(labels::UID).is_some_and(|uid| query.asks_for(uid)));
        let count = seen.len();
        let workloads: Vec<_> = seen.into_iter().filter_map(observe::of_summary).collect();
        Ok(Listing { complete: workloads.len() == count, instance, workloads })
    }

    async fn wait(&self, handle: &Handle) -> Result<Exit> {
        let data = HandleData::read(handle)?;
        // For the engine, a container that was not started has already ended: a wait would return at once.
        let Seen { observation, pid, .. } = self.look_at(handle).await?;
        if observation.state == WorkloadState::Created {
            return Err(Error::precondition("the container has not been started"));
        }
        let engine = self.engine().await?;
        let mut presence = match data.target_port {
            Some(_) => None,
            None => Some(self.presence(&engine, &data.container).await?),
        };
        let ended = self.ended(&engine, handle, &data.container, pid, presence.as_mut()).await;
        // The presence is kept for the next wait, which must learn if the engine goes away before it begins.
        if let (Some(presence), Err(error)) = (presence, &ended)
            && error.code != ErrorCode::Unavailable
        {
            self.presences.keep(&data.container, presence);
        }
        ended
    }

    async fn recover(&self, handle: &Handle) -> Result<Observation> {
        // The labels and the id are all that there is, and `observe` reads them.
        self.observe(handle).await
    }
}

impl Logs for ContainerRuntime {
    async fn logs(&self, handle: &Handle, options: LogOptions) -> Result<ByteStream> {
        let data = HandleData::read(handle)?;
        // An early check: the stream would report a missing container only later.
        self.observe(handle).await?;
        Ok(logs::open(&*self.engine().await?, &data, options))
    }
}

impl Attach for ContainerRuntime {
    async fn attach(&self, handle: &Handle) -> Result<ByteStream> {
        let data = HandleData::read(handle)?;
        if data.target_port.is_some() {
            return Err(Error::precondition("the workload speaks over a port, not over stdin and stdout"));
        }
        self.observe(handle).await?;
        let engine = self.engine().await?;
        // The connection of the presence is opened before the attach. If the engine is replaced in between, the presence
        // breaks.
        let presence = Presence::of(&engine, &data.container).await;
        self.presences.keep(&data.container, presence.map_err(|error| self.lost(&engine, &error))?);
        let attached = attach::open(&engine, &data.container).await;
        attached.map_err(|error| self.failed("the container cannot be attached", &error))
    }
}
