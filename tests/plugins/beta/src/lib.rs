//! The smallest runtime: it holds nothing and does nothing. A second library of the same interface.
#![forbid(unsafe_code)]
use wharf_sdk::{
    Capability, Context, Error, Exit, Handle, Health, Instance, ListQuery, Listing, Observation, Result,
    Runtime, StopOptions, WorkloadSpec,
};

struct Beta;

fn nothing_here() -> Error {
    Error::not_found("this runtime has no workloads")
}

impl Runtime for Beta {
    async fn connect(_: Context) -> Result<Self> {
        Ok(Self)
    }

    async fn instance(&self) -> Result<Instance> {
        Ok(Instance { instance: "beta".to_owned(), endpoint: String::new() })
    }

    async fn health(&self) -> Health {
        Health::undetected("there is no engine").with_remedy("make one")
    }

    async fn validate(&self, _: &WorkloadSpec) -> Result<()> {
        Err(Error::precondition("there is no engine"))
    }

    async fn deploy(&self, _: &WorkloadSpec) -> Result<Handle> {
        Err(Error::precondition("there is no engine"))
    }

    async fn start(&self, _: &Handle) -> Result<()> {
        Err(nothing_here())
    }

    async fn stop(&self, _: &Handle, _: StopOptions) -> Result<()> {
        Ok(())
    }

    async fn remove(&self, _: &Handle) -> Result<()> {
        Ok(())
    }

    async fn inspect(&self, _: &Handle) -> Result<Observation> {
        Err(nothing_here())
    }

    async fn list(&self, _: &ListQuery) -> Result<Listing> {
        Ok(Listing { complete: true, instance: "beta".to_owned(), workloads: Vec::new() })
    }

    async fn wait(&self, _: &Handle) -> Result<Exit> {
        Err(nothing_here())
    }

    async fn recover(&self, _: &Handle) -> Result<Observation> {
        Err(nothing_here())
    }
}

wharf_sdk::export_runtime! {
    "beta": Beta { capabilities: [Capability::STDIO], abilities: [], accepts: ["command"], priority: 0 }
}
