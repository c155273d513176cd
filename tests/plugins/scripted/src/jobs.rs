//! The behaviour of workloads that play a role of the conformance suite, and faulty variants of it.
//!
//! A script is known by its name (`sh -c SCRIPT NAME ARGUMENT`); none is run. All of it lives in the process that deployed
//! it: another process sees only the engine's objects.
use crate::{network, port::Port};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    task::JoinHandle,
};
use wharf_sdk::{
    Address, ByteStream, Error, ErrorCode, Handle, LogOptions, Mount, Observation, Result, WorkloadSpec,
    WorkloadState,
};
use wharf_test_engine::{Act, Engine, Flaw, Object, State};

/// How long a workload runs whose engine starts it again, and how long that takes.
const CRASHES_AFTER: Duration = Duration::from_secs(2);
const RESTARTS_AFTER: Duration = Duration::from_millis(1500);

/// A workload of this process.
#[derive(Clone)]
pub(crate) struct Job {
    role: String,
    argument: String,
    /// Whether it is refused what its role wants.
    refused: bool,
    port: Option<u16>,
    /// Whether nobody is behind the port.
    hidden: bool,
    lines: watch::Sender<Vec<&'static str>>,
    /// The number of times that it was stopped.
    stops: usize,
    task: Option<Arc<JoinHandle<()>>>,
    listener: Option<Port>,
}

impl Job {
    /// Its role, and whether the specification lets it play it.
    pub(crate) fn of(spec: &WorkloadSpec, private: &[PathBuf], flaw: Option<Flaw>) -> Self {
        let word = |at: usize| spec.args.get(at).cloned().unwrap_or_default();
        let (role, argument) = match word(0).as_str() {
            // wharf's own, of which the third word is a port.
            "__conformance-connect" => ("connect".to_owned(), word(2)),
            _ => (word(2), word(3)),
        };
        let granted = |path: &str| {
            let profile = spec.permission_profile.as_ref();
            profile.is_none_or(|profile| profile.write.iter().any(|to| Path::new(path).starts_with(to)))
        };
        let mounted = |path: &str| {
            let mut mounts = spec.mounts.iter().filter_map(|text| Mount::parse(text).ok());
            let is_private = private.iter().any(|folder| Path::new(path).starts_with(folder));
            mounts.any(|mount| Path::new(path).starts_with(mount.source))
                && (!is_private || flaw == Some(Flaw::MountsAll))
        };
        let reads_all = flaw == Some(Flaw::ReadsAll) && spec.mounts.is_empty();
        let refused = match role.as_str() {
            "allocate" => spec.memory_bytes.is_some() && flaw != Some(Flaw::NoMemoryLimit),
            "fork" => spec.pids_limit.is_some_and(|most| most < 64) && flaw != Some(Flaw::NoPidsLimit),
            "burn" => spec.cpus.is_some() && flaw != Some(Flaw::NoCpuLimit),
            "connect" => !network::lets_out(spec, argument.parse().unwrap_or_default(), flaw),
            "read" => !granted(&argument) && !mounted(&argument) && !reads_all,
            "write" if flaw == Some(Flaw::GrantsNothing) => true,
            "write" => !granted(&argument) && flaw != Some(Flaw::WritesAll),
            _ => false,
        };
        let port = spec.transport.target_port();
        let hidden = flaw == Some(Flaw::HidesPort) && network::is_cut_off(spec);
        Self {
            role,
            argument,
            refused,
            port,
            hidden,
            lines: watch::Sender::default(),
            stops: 0,
            task: None,
            listener: None,
        }
    }

    /// The role of one that runs.
    async fn play(self, engine: Engine, id: String) {
        match self.role.as_str() {
            "exit" => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let _ = engine.end(&id, self.argument.parse().unwrap_or_default());
            }
            // Its engine starts it again.
            "crash" => loop {
                tokio::time::sleep(CRASHES_AFTER).await;
                let _ = engine.end(&id, self.argument.parse().unwrap_or_default());
                tokio::time::sleep(RESTARTS_AFTER).await;
                let _ = engine.change(&id, |object| (object.state, object.exit) = (State::Running, None));
            },
            "say" => {
                self.lines.send_modify(|lines| lines.extend(["one", "two"]));
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.lines.send_modify(|lines| lines.push("three"));
            }
            "allocate" | "fork" | "burn" | "read" | "write" | "connect" => {
                let done = !self.refused
                    && match self.role.as_str() {
                        "write" => std::fs::File::create(&self.argument).is_ok(),
                        "connect" => network::connects(&self.argument),
                        _ => true,
                    };
                let _ = engine.end(&id, if done { 0 } else { 9 });
            }
            _ => {}
        }
    }
}

/// The workloads that this process has deployed, by uid.
#[derive(Default)]
pub(crate) struct Jobs {
    jobs: Mutex<BTreeMap<String, Job>>,
    /// The names that are kept although their workloads were removed.
    kept: Mutex<BTreeSet<String>>,
}

impl Jobs {
    fn jobs(&self) -> MutexGuard<'_, BTreeMap<String, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, uid: &str, job: Job) {
        self.jobs().insert(uid.to_owned(), job);
    }

    /// Whether this process has deployed it.
    pub(crate) fn has(&self, uid: &str) -> bool {
        self.jobs().contains_key(uid)
    }

    pub(crate) fn keep(&self, uid: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned());
    }

    pub(crate) fn is_kept(&self, uid: &str) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).contains(uid)
    }

    /// The address on which it listens.
    pub(crate) fn address(&self, uid: &str) -> Option<Address> {
        self.jobs().get(uid)?.port.map(Address::loopback)
    }

    /// Whether it has this role.
    pub(crate) fn plays(&self, uid: &str, role: &str) -> bool {
        self.jobs().get(uid).is_some_and(|job| job.role == role)
    }

    /// Whether its engine starts it again after an end.
    pub(crate) fn goes_on(&self, uid: &str) -> bool {
        self.jobs().get(uid).is_some_and(|job| job.role == "crash" && job.task.is_some())
    }

    /// Lets one play its role.
    pub(crate) fn begin(&self, uid: &str, engine: &Engine, id: &str) {
        let mut jobs = self.jobs();
        let Some(job) = jobs.get_mut(uid) else { return };
        job.task = Some(Arc::new(tokio::spawn(job.clone().play(engine.clone(), id.to_owned()))));
        job.listener = job.port.and_then(|port| Port::open(port, !job.hidden).ok());
    }

    /// Ends the role.
    pub(crate) fn end(&self, uid: &str) {
        let mut jobs = self.jobs();
        let Some(job) = jobs.get_mut(uid) else { return };
        job.listener = None;
        if let Some(task) = job.task.take() {
            task.abort();
        }
    }

    /// The code of one that ends when it is asked to.
    pub(crate) fn last_word(&self, uid: &str) -> i32 {
        let jobs = self.jobs();
        let polite = jobs.get(uid).filter(|job| job.role == "polite");
        polite.and_then(|job| job.argument.parse().ok()).unwrap_or_default()
    }

    /// The faulty variant of `stop`.
    pub(crate) fn stop_flawed(&self, flaw: Flaw, uid: &str) -> Option<Result<()>> {
        let mut jobs = self.jobs();
        let job = jobs.get_mut(uid)?;
        job.stops += 1;
        match flaw {
            Flaw::AsksOnly if job.role == "stubborn" => Some(Ok(())),
            Flaw::TwiceAtMost if job.stops > 2 => Some(Err(Error::precondition("it is stopped"))),
            _ => None,
        }
    }

    /// The faulty variant of an observation.
    pub(crate) fn spoil(&self, flaw: Flaw, object: &Object, seen: &mut Observation) {
        let role = self.jobs().get(&object.uid).map(|job| job.role.clone());
        let stopped = object.state == State::Stopped;
        match (flaw, role.as_deref()) {
            (Flaw::IdleForEver, Some("idle")) | (Flaw::OthersForEver, None) if stopped => {
                seen.state = WorkloadState::Running;
            }
            (Flaw::OtherHandles, Some(_)) if object.state == State::Running => {
                seen.handle.iter_mut().for_each(|handle| handle.version += 1);
            }
            (Flaw::NoParent, _) => seen.parent = None,
            (Flaw::AllPaused, _) => seen.condition.paused = true,
            (Flaw::NoCode, _) => seen.exit = None,
            (Flaw::Everywhere, _) => {
                let address = seen.address.take().and_then(|address| address.tcp());
                seen.address = address.map(|address| Address::Tcp {
                    address: (std::net::Ipv4Addr::UNSPECIFIED, address.port()).into(),
                });
            }
            _ => {}
        }
    }

    /// Its output.
    pub(crate) fn logs(&self, uid: &str, options: LogOptions, order: Option<&Act>) -> ByteStream {
        let flaw = if let Some(Act::Flawed(flaw)) = order { Some(*flaw) } else { None };
        let (reader, mut writer) = tokio::io::simplex(64 * 1024);
        let Some(mut lines) = self.jobs().get(uid).map(|job| job.lines.subscribe()) else {
            return ByteStream::reading(reader);
        };
        let written: Vec<&str> = lines.borrow_and_update().clone();
        let tail =
            options.tail.filter(|_| flaw != Some(Flaw::AllLines)).map_or(written.len(), |n| n as usize);
        let mut shown: Vec<&str> = written[written.len().saturating_sub(tail)..].to_vec();
        if flaw == Some(Flaw::NewestFirst) && options.tail.is_none() && !options.follow {
            shown.reverse();
        }
        // Nobody asks when exactly something was written here.
        let time = match options.timestamps && flaw != Some(Flaw::NoTimes) {
            true => "2026-01-02T03:04:05.678Z ",
            false => "",
        };
        tokio::spawn(async move {
            let mut seen = written.len();
            loop {
                let text: String = shown.iter().map(|line| format!("{time}{line}\n")).collect();
                let goes_on = options.follow && flaw != Some(Flaw::NeverFollows);
                if writer.write_all(text.as_bytes()).await.is_err()
                    || !goes_on
                    || lines.changed().await.is_err()
                {
                    break;
                }
                shown = lines.borrow_and_update()[seen..].to_vec();
                seen += shown.len();
            }
            // Dropped alone, it would never end the other side.
            let _ = writer.shutdown().await;
        });
        ByteStream::reading(reader)
    }
}

/// The faulty variant of an observation of a missing object.
pub(crate) fn missing(flaw: Flaw, handle: &Handle, host_id: &str) -> Option<Result<Observation>> {
    match flaw {
        Flaw::MissingUnavailable => Some(Err(Error::new(ErrorCode::Unavailable, "who knows"))),
        Flaw::MissingSucceeds => Some(Ok(Observation {
            uid: handle.uid.clone(),
            host_id: host_id.to_owned(),
            handle: Some(handle.clone()),
            parent: None,
            object: String::new(),
            state: WorkloadState::Stopped,
            exit: None,
            started_at_ms: None,
            address: None,
            confinement: None,
            condition: wharf_sdk::Condition::default(),
        })),
        _ => None,
    }
}

/// A stream that gives back the bytes that are written to it, until its workload has ended.
pub(crate) fn echo(order: Option<&Act>, ended: impl Future<Output = ()> + Send + 'static) -> ByteStream {
    let flaw = if let Some(Act::Flawed(flaw)) = order { Some(*flaw) } else { None };
    let (host, workload) = tokio::io::duplex(64 * 1024);
    let echoing = async move {
        let (mut from, mut to) = tokio::io::split(workload);
        let (mut chunk, mut sent) = (vec![0; 64 * 1024], 0);
        while let Ok(read @ 1..) = from.read(&mut chunk).await {
            let bytes = &mut chunk[..read];
            if flaw == Some(Flaw::Garbles) && bytes.starts_with(b"first") {
                bytes.make_ascii_uppercase();
            }
            sent += read;
            let cut = flaw == Some(Flaw::Truncates) && sent > 1 << 20;
            if cut || to.write_all(bytes).await.is_err() {
                return;
            }
        }
        if flaw == Some(Flaw::NeverCloses) {
            std::future::pending::<()>().await;
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = echoing => {}
            () = ended => {}
        }
    });
    let (reader, writer) = tokio::io::split(host);
    ByteStream::new(reader, writer)
}
