//! A runtime without an engine, for tests: it obeys orders, which may be wrong.
//!
//! Each operation looks up its own name among the workload's orders (the environment of the specification, which `deploy`
//! puts into the handle; tests also make handles of their own) and performs the order through [`orders::obey`]. It provides
//! two names, so that several names of one library are several runtimes.
#![forbid(unsafe_code)]
mod orders;
mod streams;

use orders::{obey, order};
use wharf_sdk::{
    Attach, ByteStream, Capability, Context, Exit, Handle, Health, Instance, ListQuery, Listing, LogOptions,
    Logs, Observation, Result, Runtime, StopOptions, WorkloadSpec, WorkloadState,
};

struct Alpha {
    name: String,
    host_id: String,
}

impl Alpha {
    fn observation(&self, handle: &Handle, operation: &str) -> Observation {
        let told = order(&handle.data, operation);
        let uid = if told == Some("other-uid") { "somebody-else" } else { &handle.uid };
        let object = if told == Some("big") { "x".repeat(70 * 1024 * 1024) } else { String::new() };
        Observation {
            uid: uid.to_owned(),
            host_id: self.host_id.clone(),
            handle: Some(handle.clone()),
            parent: None,
            object,
            state: WorkloadState::Running,
            exit: None,
            started_at_ms: None,
            address: None,
            confinement: None,
            condition: wharf_sdk::Condition::default(),
        }
    }
}

impl Runtime for Alpha {
    async fn connect(context: Context) -> Result<Self> {
        obey("connect", &context.runtime_name, &context.configuration).await?;
        // The context is dropped here: the SDK's work for a runtime must not depend on its being kept.
        Ok(Self { name: context.runtime_name, host_id: context.host_id })
    }

    async fn instance(&self) -> Result<Instance> {
        Ok(Instance { instance: self.name.clone(), endpoint: String::new() })
    }

    async fn health(&self) -> Health {
        tracing::info!("asked for the health of {}", self.name);
        Health { message: self.name.clone(), ..Health::healthy() }
    }

    async fn validate(&self, spec: &WorkloadSpec) -> Result<()> {
        obey("validate", &spec.uid, &orders::of(spec)).await
    }

    async fn deploy(&self, spec: &WorkloadSpec) -> Result<Handle> {
        let data = orders::of(spec);
        obey("deploy", &spec.uid, &data).await?;
        let uid = if order(&data, "deploy") == Some("other-uid") { "somebody-else" } else { &spec.uid };
        Ok(Handle { uid: uid.to_owned(), version: 1, data })
    }

    async fn start(&self, handle: &Handle) -> Result<()> {
        obey("start", &handle.uid, &handle.data).await
    }

    async fn stop(&self, handle: &Handle, _options: StopOptions) -> Result<()> {
        obey("stop", &handle.uid, &handle.data).await
    }

    async fn remove(&self, handle: &Handle) -> Result<()> {
        obey("remove", &handle.uid, &handle.data).await
    }

    async fn inspect(&self, handle: &Handle) -> Result<Observation> {
        obey("inspect", &handle.uid, &handle.data).await?;
        Ok(self.observation(handle, "inspect"))
    }

    async fn list(&self, _: &ListQuery) -> Result<Listing> {
        Ok(Listing { complete: true, instance: self.name.clone(), workloads: Vec::new() })
    }

    async fn wait(&self, handle: &Handle) -> Result<Exit> {
        obey("wait", &handle.uid, &handle.data).await?;
        Ok(Exit { code: Some(0), ..Exit::default() })
    }

    async fn recover(&self, handle: &Handle) -> Result<Observation> {
        obey("recover", &handle.uid, &handle.data).await?;
        Ok(self.observation(handle, "recover"))
    }
}

impl Logs for Alpha {
    async fn logs(&self, handle: &Handle, _options: LogOptions) -> Result<ByteStream> {
        obey("logs", &handle.uid, &handle.data).await?;
        streams::make(order(&handle.data, "logs"), &handle.uid)
    }
}

impl Attach for Alpha {
    async fn attach(&self, handle: &Handle) -> Result<ByteStream> {
        obey("attach", &handle.uid, &handle.data).await?;
        streams::make(order(&handle.data, "attach"), &handle.uid)
    }
}

wharf_sdk::export_runtime! {
    "alpha": Alpha {
        capabilities: [Capability::STDIO, Capability::HTTP],
        abilities: [logs, attach],
        accepts: ["command"],
        priority: -5,
    },
    "alpha-two": Alpha {
        capabilities: [Capability::STDIO],
        abilities: [],
        accepts: ["command", "package"],
        priority: 0,
    }
}
