//! One of the runtimes, and how its engine's folder is read and changed: well, or as an order says.
use crate::{
    dial::{PARENT, PORT},
    given_up,
    jobs::{self, Job, Jobs},
    ordered_call::OrderedCall,
};
use std::{io, path::PathBuf, sync::Mutex};
use tokio::sync::oneshot;
use wharf_sdk::{
    Address, Error, ErrorCode, Exit, Handle, ListQuery, Listing, Observation, Result, Source, WorkloadSpec,
    WorkloadState,
};
use wharf_test_engine::{Act, Call, Effect, Engine, Flaw, Object, State};

/// The runtime that plays the roles of the conformance suite.
const FULL: &str = "scripted-full";
/// The runtimes whose workloads have a port and no address.
const DIALED: [&str; 2] = ["scripted-dial", "scripted-restarting"];
/// More than any host reads.
const HUGE_BYTES: usize = 1 << 30;

/// One of the runtimes.
pub(crate) struct Scripted {
    pub(crate) name: String,
    pub(crate) host_id: String,
    /// The host's own folders.
    pub(crate) private_dirs: Vec<PathBuf>,
    pub(crate) engine: Engine,
    pub(crate) jobs: Jobs,
    /// Held by the connection that was made last.
    pub(crate) connected: Mutex<Option<oneshot::Sender<()>>>,
}

pub(crate) fn failed(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::unavailable("the engine does not answer"),
        _ => Error::io("the engine", error),
    }
}

impl Scripted {
    /// Notes a call and does the part of its order that comes before there is a future.
    pub(crate) fn called(&self, operation: &str, uid: &str) -> OrderedCall {
        let call = Call { runtime: self.name.clone(), operation: operation.to_owned(), uid: uid.to_owned() };
        // An engine that is not there has no orders either; the operation itself will find that out.
        OrderedCall::in_call(self.engine.called(&call).unwrap_or_default(), format!("{operation} {uid}"))
    }

    /// The same runtime, for a task of its own.
    pub(crate) fn again(&self) -> Self {
        Self {
            name: self.name.clone(),
            host_id: self.host_id.clone(),
            private_dirs: self.private_dirs.clone(),
            engine: self.engine.clone(),
            jobs: Jobs::default(),
            connected: Mutex::default(),
        }
    }

    /// True of a workload that plays a role of the conformance suite in this process.
    pub(crate) fn is_job(&self, uid: &str) -> bool {
        self.name == FULL && self.jobs.has(uid)
    }

    /// The object of a handle, proven to be this host's and this workload's by its labels.
    pub(crate) fn object(&self, handle: &Handle) -> Result<Object> {
        self.by_id(handle, object_id(handle)?)
    }

    fn by_id(&self, handle: &Handle, id: &str) -> Result<Object> {
        let found = self.engine.object(id).map_err(|error| failed(&error))?;
        found
            .filter(|object| object.uid == handle.uid && object.host_id == self.host_id)
            .ok_or_else(|| Error::not_found(format!("the engine has no {id}")))
    }

    fn observation(&self, object: &Object, order: Option<&Act>) -> Observation {
        let mut seen = Observation {
            uid: object.uid.clone(),
            host_id: object.host_id.clone(),
            parent: object.labels.get(PARENT).cloned(),
            handle: Some(handle_of(object)),
            object: object.id.clone(),
            state: state(object.state),
            exit: object.exit.map(|code| Exit { code: Some(code), ..Exit::default() }),
            started_at_ms: None,
            address: self.address(object),
            confinement: None,
            condition: wharf_sdk::Condition::default(),
        };
        match order {
            Some(Act::OtherUid) => seen.uid = "0".repeat(32),
            Some(Act::OtherHandle) => {
                seen.handle = Some(handle_of(&Object { id: "another".to_owned(), ..object.clone() }));
            }
            Some(Act::OtherHost) => seen.host_id = "0".repeat(32),
            Some(Act::Claim(claimed)) => seen.state = state(*claimed),
            Some(Act::GoesOn) => seen.exit = seen.exit.map(|exit| Exit { restarts: true, ..exit }),
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

    pub(crate) fn listing(&self, query: &ListQuery, order: Option<&Act>) -> Result<Listing> {
        given_up::listed(&self.engine, query).map_err(|error| failed(&error))?;
        let instance = self.engine.instance().map_err(|error| failed(&error))?;
        let objects = self.engine.objects().map_err(|error| failed(&error))?;
        let mut workloads: Vec<Observation> = objects
            .iter()
            .filter(|object| object.host_id == self.host_id || order == Some(&Act::Flawed(Flaw::AllHosts)))
            .filter(|object| object.instance == instance || order == Some(&Act::Copied))
            .filter(|object| query.asks_for(&object.uid) || order == Some(&Act::Flawed(Flaw::ListsAll)))
            .filter(|object| order != Some(&Act::Flawed(Flaw::OwnProcessAlone)) || self.jobs.has(&object.uid))
            .map(|object| self.observation(object, order))
            .collect();
        match order {
            Some(Act::Twice) => workloads.extend(workloads.clone()),
            Some(Act::Incomplete) => workloads.clear(),
            _ => {}
        }
        let instance = match (order, &query.presumed_instance) {
            (Some(Act::OtherInstance), _) => "a lie".to_owned(),
            (Some(Act::Flawed(Flaw::BelievesPresumed)), Some(presumed)) => presumed.clone(),
            (Some(Act::Copied), Some(presumed)) if is_labelled(&objects, query, presumed) => presumed.clone(),
            _ => instance,
        };
        let vague = order == Some(&Act::Flawed(Flaw::NeverComplete)) && query.uids.is_some();
        Ok(Listing { complete: order != Some(&Act::Incomplete) && !vague, instance, workloads })
    }

    pub(crate) fn inspected(&self, handle: &Handle, order: Option<&Act>) -> Result<Observation> {
        let found = match order {
            Some(Act::Flawed(Flaw::AnyVersion)) => {
                self.by_id(handle, handle.data.as_str().unwrap_or_default())
            }
            _ => self.object(handle),
        };
        match (found, order) {
            (Err(error), Some(Act::Flawed(flaw))) if error.code == ErrorCode::NotFound => {
                jobs::missing(*flaw, handle, &self.host_id).ok_or(error)?
            }
            (found, order) => Ok(self.observation(&found?, order)),
        }
    }

    /// Refuses a source that this runtime does not run. Its name says which ones it does.
    pub(crate) fn check_source(&self, spec: &WorkloadSpec) -> Result<()> {
        let is_image = matches!(spec.source, Source::Image { .. });
        if is_image == self.name.ends_with("images") && !matches!(spec.source, Source::Package { .. }) {
            return Ok(());
        }
        Err(Error::unsupported("source", "only commands, or only images"))
    }

    /// The object of a specification, before the engine has made it.
    pub(crate) fn object_of(&self, spec: &WorkloadSpec) -> Result<Object> {
        Ok(Object {
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
        })
    }

    pub(crate) fn make(&self, spec: &WorkloadSpec, order: Option<&Act>) -> Result<Handle> {
        let object = self.object_of(spec)?;
        if order == Some(&Act::Late) {
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
        let flaw = if let Some(Act::Flawed(flaw)) = order { Some(*flaw) } else { None };
        self.jobs.add(&spec.uid, Job::of(spec, &self.private_dirs, flaw));
        if flaw == Some(Flaw::Starts) {
            self.begin(&object.id, &spec.uid)?;
        }
        Ok(handle_of(&object))
    }

    pub(crate) fn take_away(&self, object: &Object, order: Option<&Act>) -> Result<()> {
        let taken = match order {
            Some(Act::Flawed(Flaw::KillsNothing)) if object.state == State::Running => {
                return Err(Error::precondition("it is running"));
            }
            Some(Act::Flawed(Flaw::ByName)) => {
                let all = self.engine.objects().map_err(|error| failed(&error))?;
                all.into_iter().filter(|other| other.name == object.name).collect()
            }
            _ => vec![object.clone()],
        };
        if order == Some(&Act::Flawed(Flaw::KeepsName)) && object.state != State::Created {
            self.jobs.keep(&object.uid);
        }
        self.jobs.end(&object.uid);
        taken.iter().try_for_each(|one| self.engine.remove(&one.id)).map_err(|error| failed(&error))
    }

    pub(crate) fn begin(&self, id: &str, uid: &str) -> Result<()> {
        let started = self.engine.change(id, |object| (object.state, object.exit) = (State::Running, None));
        started.map_err(|error| failed(&error))?;
        self.jobs.begin(uid, &self.engine, id);
        Ok(())
    }

    /// The error for the caller of an engine that is too slow.
    pub(crate) fn postponed(&self, effect: &Effect) -> Error {
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
