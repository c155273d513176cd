//! The runtime's operations, on the engine's folder.
use crate::{
    dial::{PARENT, PORT},
    jobs::{self, Job, Jobs},
    network, server, takeover,
    told::Told,
    watch::Watch,
};
use serde::Deserialize;
use std::{collections::BTreeSet, future::Future, io, sync::Mutex};
use tokio::sync::oneshot;
use wharf_sdk::document::operation;
use wharf_sdk::{
    Address, Attach, ByteStream, Context, Error, ErrorCode, Exit, Handle, Health, Instance, ListQuery,
    Listing, LogOptions, Logs, Observation, Result, Runtime, Source, StopOptions, WorkloadSpec,
    WorkloadState,
};
use wharf_test_engine::{Act, Call, Effect, Engine, Flaw, Object, State};

/// The runtime that plays the roles of the conformance suite.
const FULL: &str = "scripted-full";
/// The runtimes whose workloads have a port and no address.
const DIALED: [&str; 2] = ["scripted-dial", "scripted-restarting"];
/// The number of bytes that a workload's stream holds.
const STREAM_BYTES: usize = 64 * 1024;
/// More than any host reads.
const HUGE_BYTES: usize = 1 << 30;

/// One of the runtimes.
pub(crate) struct Scripted {
    name: String,
    pub(crate) host_id: String,
    pub(crate) engine: Engine,
    jobs: Jobs,
    /// Held by the connection that was made last.
    pub(crate) connected: Mutex<Option<oneshot::Sender<()>>>,
}

/// Makes `stop` and `remove` of a missing workload fail.
const MISSING_FAILS: Option<Act> = Some(Act::Flawed(Flaw::MissingFails));

/// The runtime's part of the user's configuration.
#[derive(Default, Deserialize)]
struct Configuration {
    engine: Option<String>,
}

pub(crate) fn failed(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::unavailable("the engine does not answer"),
        _ => Error::io("the engine", error),
    }
}

impl Scripted {
    /// Notes a call and does the part of its order that comes before there is a future.
    pub(crate) fn called(&self, operation: &str, uid: &str) -> Told {
        let call = Call { runtime: self.name.clone(), operation: operation.to_owned(), uid: uid.to_owned() };
        // An engine that is not there has no orders either; the operation itself will find that out.
        Told::in_call(self.engine.called(&call).unwrap_or_default(), format!("{operation} {uid}"))
    }

    /// The same runtime, for a task of its own.
    pub(crate) fn again(&self) -> Self {
        let (name, host_id) = (self.name.clone(), self.host_id.clone());
        let engine = self.engine.clone();
        Self { name, host_id, engine, jobs: Jobs::default(), connected: Mutex::default() }
    }

    /// True of a workload that plays a role of the conformance suite in this process.
    pub(crate) fn is_job(&self, uid: &str) -> bool {
        self.name == FULL && self.jobs.has(uid)
    }

    /// The object of a handle, proven to be this host's and this workload's by its labels.
    pub(crate) fn object(&self, handle: &Handle) -> Result<Object> {
        if let Some(id) = takeover::id_of(handle) {
            return takeover::of_handle(self, handle, id);
        }
        self.by_id(handle, object_id(handle)?)
    }

    fn by_id(&self, handle: &Handle, id: &str) -> Result<Object> {
        let found = self.engine.object(id).map_err(|error| failed(&error))?;
        found
            .filter(|object| object.uid == handle.uid && object.host_id == self.host_id)
            .ok_or_else(|| Error::not_found(format!("the engine has no {id}")))
    }

    fn observation(&self, object: &Object, told: Option<&Act>) -> Observation {
        let mut seen = Observation {
            uid: object.uid.clone(),
            host_id: object.host_id.clone(),
            handle: Some(handle_of(object)),
            parent: object.labels.get(PARENT).cloned(),
            object: object.id.clone(),
            state: state(object.state),
            exit: object.exit.map(|code| Exit { code: Some(code), ..Exit::default() }),
            started_at_ms: None,
            address: self.address(object),
            confinement: None,
        };
        match told {
            Some(Act::OtherUid) => seen.uid = "0".repeat(32),
            Some(Act::OtherHandle) => {
                seen.handle = Some(handle_of(&Object { id: "another".to_owned(), ..object.clone() }));
            }
            Some(Act::OtherHost) => seen.host_id = "0".repeat(32),
            Some(Act::Claim(claimed)) => seen.state = state(*claimed),
            Some(Act::Flawed(flaw)) => self.jobs.spoil(*flaw, object, &mut seen),
            Some(Act::Huge) => seen.object = "x".repeat(HUGE_BYTES),
            _ => {}
        }
        seen
    }

    /// The address of a workload's port.
    fn address(&self, object: &Object) -> Option<Address> {
        if DIALED.contains(&self.name.as_str()) {
            Some(Address::Dial)
        } else {
            self.jobs.address(&object.uid)
        }
    }

    fn listing(&self, query: &ListQuery, told: Option<&Act>) -> Result<Listing> {
        let instance = self.engine.instance().map_err(|error| failed(&error))?;
        let objects = self.engine.objects().map_err(|error| failed(&error))?;
        let mut workloads: Vec<Observation> = objects
            .iter()
            .filter(|object| object.host_id == self.host_id || told == Some(&Act::Flawed(Flaw::AllHosts)))
            .filter(|object| object.instance == instance || told == Some(&Act::Copied))
            .filter(|object| query.asks_for(&object.uid) || told == Some(&Act::Flawed(Flaw::ListsAll)))
            .filter(|object| told != Some(&Act::Flawed(Flaw::OwnProcessAlone)) || self.jobs.has(&object.uid))
            .map(|object| self.observation(object, told))
            .collect();
        match told {
            Some(Act::Twice) => workloads.extend(workloads.clone()),
            Some(Act::Incomplete) => workloads.clear(),
            _ => {}
        }
        let instance = match (told, &query.presumed_instance) {
            (Some(Act::OtherInstance), _) => "a lie".to_owned(),
            (Some(Act::Flawed(Flaw::BelievesPresumed)), Some(presumed)) => presumed.clone(),
            (Some(Act::Copied), Some(presumed)) if is_labelled(&objects, query, presumed) => presumed.clone(),
            _ => instance,
        };
        let vague = told == Some(&Act::Flawed(Flaw::NeverComplete)) && query.uids.is_some();
        Ok(Listing { complete: told != Some(&Act::Incomplete) && !vague, instance, workloads })
    }

    fn inspected(&self, handle: &Handle, told: Option<&Act>) -> Result<Observation> {
        let found = match told {
            Some(Act::Flawed(Flaw::AnyVersion)) => {
                self.by_id(handle, handle.data.as_str().unwrap_or_default())
            }
            _ => self.object(handle),
        };
        match (found, told) {
            (Err(error), Some(Act::Flawed(flaw))) if error.code == ErrorCode::NotFound => {
                jobs::missing(*flaw, handle, &self.host_id).ok_or(error)?
            }
            (found, told) => {
                let mut seen = self.observation(&found?, told);
                if takeover::id_of(handle).is_some() {
                    seen.handle = Some(handle.clone());
                }
                Ok(seen)
            }
        }
    }

    fn make(&self, spec: &WorkloadSpec, told: Option<&Act>) -> Result<Handle> {
        let object = Object {
            id: format!("{}-{}", spec.name, spec.uid),
            instance: self.engine.instance().map_err(|error| failed(&error))?,
            uid: spec.uid.clone(),
            host_id: spec.host_id.clone(),
            name: spec.name.clone(),
            labels: spec
                .transport
                .target_port()
                .map(|port| (PORT.to_owned(), port.to_string()))
                .into_iter()
                .chain(spec.parent.clone().map(|parent| (PARENT.to_owned(), parent)))
                .collect(),
            state: State::Created,
            exit: None,
        };
        if told == Some(&Act::Late) {
            return Err(self.postponed(&Effect::Made(object)));
        }
        if self.jobs.is_kept(&spec.uid) {
            return Err(Error::new(ErrorCode::AlreadyExists, "there is one of this name"));
        }
        // Another deployment, dropped in its last moment, may have made an object that belongs to nobody.
        if self.object(&handle_of(&object)).is_ok_and(|earlier| earlier.state == State::Created) {
            self.engine.remove(&object.id).map_err(|error| failed(&error))?;
        }
        self.engine.make(&object).map_err(|error| Error::io("making the object", &error))?;
        let flaw = if let Some(Act::Flawed(flaw)) = told { Some(*flaw) } else { None };
        self.jobs.add(&spec.uid, Job::of(spec, flaw));
        if flaw == Some(Flaw::Starts) {
            self.begin(&object.id, &spec.uid)?;
        }
        Ok(handle_of(&object))
    }

    fn take_away(&self, object: &Object, told: Option<&Act>) -> Result<()> {
        let taken = match told {
            Some(Act::Flawed(Flaw::KillsNothing)) if object.state == State::Running => {
                return Err(Error::precondition("it is running"));
            }
            Some(Act::Flawed(Flaw::ByName)) => {
                let all = self.engine.objects().map_err(|error| failed(&error))?;
                all.into_iter().filter(|other| other.name == object.name).collect()
            }
            _ => vec![object.clone()],
        };
        if told == Some(&Act::Flawed(Flaw::KeepsName)) && object.state != State::Created {
            self.jobs.keep(&object.uid);
        }
        self.jobs.end(&object.uid);
        taken.iter().try_for_each(|one| self.engine.remove(&one.id)).map_err(|error| failed(&error))
    }

    fn begin(&self, id: &str, uid: &str) -> Result<()> {
        let started = self.engine.change(id, |object| (object.state, object.exit) = (State::Running, None));
        started.map_err(|error| failed(&error))?;
        self.jobs.begin(uid, &self.engine, id);
        Ok(())
    }

    /// The error for the caller of an engine that is too slow.
    fn postponed(&self, effect: &Effect) -> Error {
        match self.engine.postpone(effect) {
            Ok(()) => Error::new(ErrorCode::Timeout, "the engine did not answer in time"),
            Err(error) => failed(&error),
        }
    }
}

/// True if one of the requested objects carries the label of this instance.
fn is_labelled(objects: &[Object], query: &ListQuery, instance: &str) -> bool {
    objects.iter().any(|object| object.instance == instance && query.asks_for(&object.uid))
}

fn object_id(handle: &Handle) -> Result<&str> {
    let id = handle.data.as_str().filter(|_| handle.version == 1);
    id.ok_or_else(|| Error::invalid("this handle has a form that is not known"))
}

fn handle_of(object: &Object) -> Handle {
    Handle { uid: object.uid.clone(), version: 1, data: object.id.clone().into() }
}

pub(crate) const fn state(state: State) -> WorkloadState {
    match state {
        State::Created => WorkloadState::Created,
        State::Running => WorkloadState::Running,
        State::Stopped => WorkloadState::Stopped,
        State::Removing => WorkloadState::Removing,
        State::Unknown => WorkloadState::Unknown,
    }
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
        let (name, host_id) = (context.runtime_name, context.host_id);
        let runtime = Self { name, host_id, engine, jobs: Jobs::default(), connected: Mutex::default() };
        runtime.called("connect", "").in_future().await?;
        Ok(runtime)
    }

    fn instance(&self) -> impl Future<Output = Result<Instance>> + Send {
        let told = self.called(operation::INSTANCE, "");
        async move {
            let told = told.in_future().await?;
            let instance = match told {
                Some(Act::OtherInstance) => "a lie".to_owned(),
                _ => self.engine.instance().map_err(|error| failed(&error))?,
            };
            Ok(Instance { instance, endpoint: self.engine.root().display().to_string() })
        }
    }

    fn health(&self) -> impl Future<Output = Health> + Send {
        let told = self.called(operation::HEALTH, "");
        async move {
            let answered =
                told.in_future().await.and_then(|_| self.engine.instance().map_err(|e| failed(&e)));
            match answered {
                Ok(_) => Health::healthy(),
                Err(error) if !self.engine.root().exists() => {
                    Health::undetected(error.message).with_remedy("make the folder of the engine")
                }
                Err(error) => Health::unhealthy(error.message).with_remedy("start the engine"),
            }
        }
    }

    fn validate(&self, spec: &WorkloadSpec) -> impl Future<Output = Result<()>> + Send {
        let told = self.called(operation::VALIDATE, &spec.uid);
        async move {
            let told = told.in_future().await?;
            // The names of the runtimes say which sources they accept.
            let is_image = matches!(spec.source, Source::Image { .. });
            let fits =
                is_image == self.name.ends_with("images") && !matches!(spec.source, Source::Package { .. });
            if told != Some(Act::Flawed(Flaw::AcceptsAll)) && !fits {
                return Err(Error::unsupported("source", "only commands, or only images"));
            }
            if told != Some(Act::Flawed(Flaw::AnyNetwork)) {
                network::check(spec)?;
            }
            if told == Some(Act::Flawed(Flaw::Deploys)) {
                self.make(spec, None)?;
            }
            Ok(())
        }
    }

    fn deploy(&self, spec: &WorkloadSpec) -> impl Future<Output = Result<Handle>> + Send {
        let told = self.called(operation::DEPLOY, &spec.uid);
        async move {
            let told = told.in_future().await?;
            self.make(spec, told.as_ref())
        }
    }

    fn start(&self, handle: &Handle) -> impl Future<Output = Result<()>> + Send {
        let told = self.called(operation::START, &handle.uid);
        async move {
            let told = told.in_future().await?;
            let object = match self.object(handle) {
                Err(_) if told == Some(Act::Flawed(Flaw::MissingSucceeds)) => return Ok(()),
                found => found?,
            };
            match object.state {
                State::Running if told == Some(Act::Flawed(Flaw::RefusesRunning)) => {
                    Err(Error::precondition("it is running"))
                }
                State::Running => Ok(()),
                _ => self.begin(&object.id, &handle.uid),
            }
        }
    }

    fn stop(&self, handle: &Handle, _: StopOptions) -> impl Future<Output = Result<()>> + Send {
        let told = self.called(operation::STOP, &handle.uid);
        async move {
            let told = told.in_future().await?;
            match self.object(handle) {
                Ok(_) if told == Some(Act::Elsewhere) => Ok(()),
                Ok(object) if told == Some(Act::Late) => Err(self.postponed(&Effect::Ended(object.id))),
                Ok(object) => {
                    if let Some(Act::Flawed(flaw)) = told
                        && let Some(outcome) = self.jobs.stop_flawed(flaw, &handle.uid)
                    {
                        return outcome;
                    }
                    if told != Some(Act::Flawed(Flaw::LeavesPort)) {
                        self.jobs.end(&handle.uid);
                    }
                    let code = match told {
                        Some(Act::Flawed(Flaw::KillsAtOnce)) => 0,
                        _ => self.jobs.last_word(&handle.uid),
                    };
                    self.engine.end(&object.id, code).map_err(|error| failed(&error))
                }
                Err(error) if error.code == ErrorCode::NotFound && told != MISSING_FAILS => Ok(()),
                Err(error) => Err(error),
            }
        }
    }

    fn remove(&self, handle: &Handle) -> impl Future<Output = Result<()>> + Send {
        let told = self.called(operation::REMOVE, &handle.uid);
        async move {
            let told = told.in_future().await?;
            match self.object(handle) {
                Ok(_) if told == Some(Act::Elsewhere) => Ok(()),
                Ok(object) => self.take_away(&object, told.as_ref()),
                Err(error) if error.code == ErrorCode::NotFound && told != MISSING_FAILS => Ok(()),
                Err(error) => Err(error),
            }
        }
    }

    fn inspect(&self, handle: &Handle) -> impl Future<Output = Result<Observation>> + Send {
        let told = self.called(operation::INSPECT, &handle.uid);
        async move {
            let told = told.in_future().await?;
            self.inspected(handle, told.as_ref())
        }
    }

    fn list(&self, query: &ListQuery) -> impl Future<Output = Result<Listing>> + Send {
        // Noted as a call about the workload, where it is about one.
        let one = query.uids.as_ref().filter(|uids| uids.len() == 1).and_then(BTreeSet::first);
        let told = self.called(operation::LIST, one.map_or("", String::as_str));
        async move {
            let told = told.in_future().await?;
            self.listing(query, told.as_ref())
        }
    }

    fn wait(&self, handle: &Handle) -> impl Future<Output = Result<Exit>> + Send {
        let told = self.called(operation::WAIT, &handle.uid);
        async move {
            let flaw = match told.in_future().await? {
                Some(Act::Flawed(flaw)) => Some(flaw),
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
                _ => ended(self, handle).await,
            }
        }
    }

    fn recover(&self, handle: &Handle) -> impl Future<Output = Result<Observation>> + Send {
        let told = self.called(operation::RECOVER, &handle.uid);
        async move {
            let told = told.in_future().await?;
            self.inspected(handle, told.as_ref())
        }
    }
}

impl Attach for Scripted {
    fn attach(&self, handle: &Handle) -> impl Future<Output = Result<ByteStream>> + Send {
        let told = self.called(operation::ATTACH, &handle.uid);
        async move {
            let told = told.in_future().await?;
            let object = match self.object(handle) {
                Err(_) if told == Some(Act::Flawed(Flaw::AttachesToNone)) => {
                    return Ok(jobs::echo(None, std::future::pending()));
                }
                found => found?,
            };
            if self.jobs.plays(&handle.uid, "echo") {
                return Ok(jobs::echo(told.as_ref(), std::future::pending()));
            }
            let (workload, host) = tokio::io::duplex(STREAM_BYTES);
            let (runtime, handle) = (self.again(), handle.clone());
            tokio::spawn(async move {
                tokio::select! {
                    // A server whose input has ended ends.
                    _ = server::serve(workload, &object.uid) => drop(runtime.engine.end(&object.id, 0)),
                    () = killed(&runtime, &handle) => {}
                }
            });
            let (reader, writer) = tokio::io::split(host);
            Ok(ByteStream::new(reader, writer))
        }
    }
}

impl Logs for Scripted {
    fn logs(&self, handle: &Handle, options: LogOptions) -> impl Future<Output = Result<ByteStream>> + Send {
        let told = self.called(operation::LOGS, &handle.uid);
        async move {
            let told = told.in_future().await?;
            self.object(handle)?;
            Ok(self.jobs.logs(&handle.uid, options, told.as_ref()))
        }
    }
}

/// Resolves when the object has ended. An engine that does not answer, or another one, ends nothing.
pub(crate) async fn killed(runtime: &Scripted, handle: &Handle) {
    let Ok(mut watch) = Watch::of(&runtime.engine) else { return };
    let id = handle.data.as_str().unwrap_or_default();
    let lives = || {
        let objects = runtime.engine.objects().unwrap_or_default();
        objects.iter().any(|object| object.id == id && object.state != State::Stopped)
    };
    while lives() && watch.changed().await.is_ok() {}
}
