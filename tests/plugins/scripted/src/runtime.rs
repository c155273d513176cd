//! The operations, by the SDK's trait.
use crate::{
    given_up,
    jobs::Jobs,
    network,
    scripted::{Scripted, failed},
    watch::Watch,
};
use serde::Deserialize;
use std::{collections::BTreeSet, future::Future, sync::Mutex};
use wharf_sdk::document::operation;
use wharf_sdk::{
    Context, Error, ErrorCode, Exit, Handle, Health, Instance, ListQuery, Listing, Observation, Result,
    Runtime, StopOptions, WorkloadSpec,
};
use wharf_test_engine::{Act, Effect, Engine, Flaw, State};

/// Makes `stop` and `remove` of a missing workload fail.
const MISSING_FAILS: Option<Act> = Some(Act::Flawed(Flaw::MissingFails));

/// The runtime's part of the user's configuration.
#[derive(Default, Deserialize)]
struct Configuration {
    engine: Option<String>,
}

/// Resolves when an object runs.
async fn runs(runtime: &Scripted, handle: &Handle) -> Result<()> {
    let mut watch = Watch::of(&runtime.engine).map_err(|error| failed(&error))?;
    while runtime.object(handle)?.state != State::Running {
        watch.changed().await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Resolves when an object no longer runs, and is not about to.
async fn ended(runtime: &Scripted, handle: &Handle) -> Result<Exit> {
    let mut watch = Watch::of(&runtime.engine).map_err(|error| failed(&error))?;
    loop {
        let object = runtime.object(handle)?;
        if object.state == State::Stopped {
            return Ok(Exit { code: object.exit, ..Exit::default() });
        }
        watch.changed().await.map_err(|error| failed(&error))?;
    }
}

impl Runtime for Scripted {
    async fn connect(context: Context) -> Result<Self> {
        let configuration: Option<Configuration> = serde_json::from_value(context.configuration)
            .map_err(|error| Error::invalid(error.to_string()))?;
        let configured = configuration.unwrap_or_default().engine.map(Into::into);
        let root = context.endpoint.map(Into::into).or(configured);
        let engine = Engine::at(root.unwrap_or_else(|| context.data_dir.join("engine")));
        let runtime = Self {
            name: context.runtime_name,
            host_id: context.host_id,
            private_dirs: context.private_dirs,
            engine,
            jobs: Jobs::default(),
            connected: Mutex::default(),
        };
        runtime.called("connect", "").in_future().await?;
        Ok(runtime)
    }

    fn instance(&self) -> impl Future<Output = Result<Instance>> + Send {
        let order = self.called(operation::INSTANCE, "");
        async move {
            let order = order.in_future().await?;
            let instance = match order {
                Some(Act::OtherInstance) => "a lie".to_owned(),
                _ => self.engine.instance().map_err(|error| failed(&error))?,
            };
            Ok(Instance { instance, endpoint: self.engine.root().display().to_string() })
        }
    }

    fn health(&self) -> impl Future<Output = Health> + Send {
        let order = self.called(operation::HEALTH, "");
        async move {
            let order = order.in_future().await;
            let answered =
                order.and_then(|order| self.engine.instance().map_err(|e| failed(&e)).map(|_| order));
            match answered {
                Ok(Some(Act::Flawed(Flaw::RemedyInMessage))) => {
                    Health { message: "it answers; look at it now and then".to_owned(), ..Health::healthy() }
                }
                Ok(_) => Health::healthy(),
                Err(error) if !self.engine.root().exists() => {
                    Health::undetected(error.message).with_remedy("make the folder of the engine")
                }
                Err(error) => Health::unhealthy(error.message).with_remedy("start the engine"),
            }
        }
    }

    fn validate(&self, spec: &WorkloadSpec) -> impl Future<Output = Result<()>> + Send {
        let order = self.called(operation::VALIDATE, &spec.uid);
        async move {
            let order = order.in_future().await?;
            if order != Some(Act::Flawed(Flaw::AcceptsAll)) {
                self.check_source(spec)?;
            }
            if order != Some(Act::Flawed(Flaw::AnyNetwork)) {
                network::check(spec)?;
            }
            if order == Some(Act::Flawed(Flaw::IgnoresVerdict)) {
                network::ignore_verdict(spec)?;
            }
            if order == Some(Act::Flawed(Flaw::Deploys)) {
                self.make(spec, None)?;
            }
            Ok(())
        }
    }

    fn deploy(&self, spec: &WorkloadSpec) -> impl Future<Output = Result<Handle>> + Send {
        // From the call on, before the order is read, so that a listing waits also for one that is dropped in its first moment.
        let making = given_up::Making::of(&spec.uid);
        let order = self.called(operation::DEPLOY, &spec.uid);
        // One that is told to take its time makes nothing meanwhile.
        let making = (!order.takes_time()).then_some(making);
        async move {
            let order = order.in_future().await?;
            if order == Some(Act::Flawed(Flaw::MadeLate)) {
                given_up::noted(self.object_of(spec)?).await;
            }
            let made = self.make(spec, order.as_ref());
            drop(making);
            made
        }
    }

    fn start(&self, handle: &Handle) -> impl Future<Output = Result<()>> + Send {
        let order = self.called(operation::START, &handle.uid);
        async move {
            let order = order.in_future().await?;
            let object = match self.object(handle) {
                Err(_) if order == Some(Act::Flawed(Flaw::MissingSucceeds)) => return Ok(()),
                found => found?,
            };
            match object.state {
                State::Running if order == Some(Act::Flawed(Flaw::RefusesRunning)) => {
                    Err(Error::precondition("it is running"))
                }
                State::Running => Ok(()),
                State::Stopped if self.jobs.goes_on(&handle.uid) => match order {
                    Some(Act::Flawed(Flaw::FollowsNothing)) => Ok(()),
                    _ => runs(self, handle).await,
                },
                _ => self.begin(&object.id, &handle.uid),
            }
        }
    }

    fn stop(&self, handle: &Handle, _: StopOptions) -> impl Future<Output = Result<()>> + Send {
        let order = self.called(operation::STOP, &handle.uid);
        async move {
            let order = order.in_future().await?;
            match self.object(handle) {
                Ok(_) if order == Some(Act::Elsewhere) => Ok(()),
                Ok(object) if order == Some(Act::Late) => Err(self.postponed(&Effect::Ended(object.id))),
                Ok(object) => {
                    if let Some(Act::Flawed(flaw)) = order
                        && let Some(outcome) = self.jobs.stop_flawed(flaw, &handle.uid)
                    {
                        return outcome;
                    }
                    if order != Some(Act::Flawed(Flaw::LeavesPort)) {
                        self.jobs.end(&handle.uid);
                    }
                    let code = match order {
                        Some(Act::Flawed(Flaw::KillsAtOnce)) => 0,
                        _ => self.jobs.last_word(&handle.uid),
                    };
                    self.engine.end(&object.id, code).map_err(|error| failed(&error))
                }
                Err(error) if error.code == ErrorCode::NotFound && order != MISSING_FAILS => Ok(()),
                Err(error) => Err(error),
            }
        }
    }

    fn remove(&self, handle: &Handle) -> impl Future<Output = Result<()>> + Send {
        let order = self.called(operation::REMOVE, &handle.uid);
        async move {
            let order = order.in_future().await?;
            match self.object(handle) {
                Ok(_) if order == Some(Act::Elsewhere) => Ok(()),
                Ok(object) => self.take_away(&object, order.as_ref()),
                Err(error) if error.code == ErrorCode::NotFound && order != MISSING_FAILS => Ok(()),
                Err(error) => Err(error),
            }
        }
    }

    fn inspect(&self, handle: &Handle) -> impl Future<Output = Result<Observation>> + Send {
        let order = self.called(operation::INSPECT, &handle.uid);
        async move {
            let order = order.in_future().await?;
            self.inspected(handle, order.as_ref())
        }
    }

    fn list(&self, query: &ListQuery) -> impl Future<Output = Result<Listing>> + Send {
        // Noted as a call about the workload, where it is about one.
        let one = query.uids.as_ref().filter(|uids| uids.len() == 1).and_then(BTreeSet::first);
        let order = self.called(operation::LIST, one.map_or("", String::as_str));
        async move {
            let order = order.in_future().await?;
            given_up::settled(query).await;
            self.listing(query, order.as_ref())
        }
    }

    fn wait(&self, handle: &Handle) -> impl Future<Output = Result<Exit>> + Send {
        let order = self.called(operation::WAIT, &handle.uid);
        async move {
            let flaw = match order.in_future().await? {
                Some(Act::Flawed(flaw)) => Some(flaw),
                Some(Act::GoesOn) => {
                    return ended(self, handle).await.map(|exit| Exit { restarts: true, ..exit });
                }
                _ => None,
            };
            let state = self.object(handle).ok().map(|object| object.state);
            let is_own = self.jobs.has(&handle.uid);
            match (flaw, state) {
                (Some(Flaw::EndedHangs), Some(State::Stopped)) if self.jobs.plays(&handle.uid, "idle") => {
                    std::future::pending().await
                }
                (Some(Flaw::MissingHangs), None) => std::future::pending().await,
                (Some(Flaw::OthersHang), _) if !is_own => std::future::pending().await,
                (Some(Flaw::NoCode), _) if self.jobs.plays(&handle.uid, "exit") => {
                    ended(self, handle).await.map(|_| Exit::default())
                }
                _ => {
                    let exit = ended(self, handle).await?;
                    let restarts = flaw != Some(Flaw::NeverGoesOn) && self.jobs.goes_on(&handle.uid);
                    Ok(Exit { restarts, ..exit })
                }
            }
        }
    }

    fn recover(&self, handle: &Handle) -> impl Future<Output = Result<Observation>> + Send {
        let order = self.called(operation::RECOVER, &handle.uid);
        async move {
            let order = order.in_future().await?;
            self.inspected(handle, order.as_ref())
        }
    }
}
