//! [`Fixture`]: two hosts, workloads and checks for a case, and the removal of everything that the case made.
use super::breach::{Breach, Checked, ensure};
use super::client::{Answer, Asked, Client};
use super::material::{Material, Role};
use super::subject::{Fault, Link, Reply, Subject};
use crate::{
    ErrorCode, Handle, Health, ListQuery, Observation, Source, Transport, WorkloadSpec, WorkloadState,
};
use serde::{Deserialize, Serialize};
use std::{
    cell::{Cell, RefCell},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

/// How long a workload that is asked to stop may take before it is killed.
const STOP_MS: u64 = 2_000;
/// How long each part of the cleaning may take.
const CLEANING_WAIT: Duration = Duration::from_secs(5);
/// How many times a sweep looks for something left.
const MAX_SWEEPS: usize = 4;

/// The surroundings of a case. They are the same for all of its steps, except for `left`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The ids of the host and of another host, both new for each case.
    pub hosts: [String; 2],
    /// The programs to run.
    pub material: Material,
    /// The capabilities that the runtime declares.
    pub capabilities: Vec<crate::Capability>,
    /// A port of this machine that is free.
    pub port: u16,
    /// The addresses at which a workload with a network reaches listeners on this machine: loopback and others.
    pub addresses: Vec<std::net::IpAddr>,
    /// A folder of the case's own.
    pub folder: PathBuf,
    /// The host's own folders; some lie beside that one.
    pub private_dirs: Vec<PathBuf>,
    /// How long a step may take.
    pub patience_ms: u64,
    /// The workload that the step before has left.
    pub left: Option<Handle>,
}

/// Removes the resources that a case could not remove itself. After a removal it looks again: an engine may still have been
/// making something for a case that was killed.
pub async fn sweep(subject: &dyn Subject, hosts: &[String]) {
    for host in hosts {
        let Ok(link) = subject.connect(host, None).await else { continue };
        let client = Client::new(host.clone(), link, Rc::default());
        for _ in 0..MAX_SWEEPS {
            let Ok(Ok(listing)) = tokio::time::timeout(CLEANING_WAIT, client.list(&ListQuery::ALL)).await
            else {
                break;
            };
            let handles: Vec<_> = listing.workloads.into_iter().filter_map(|seen| seen.handle).collect();
            if handles.is_empty() {
                break;
            }
            for handle in handles {
                clean(&client, &handle).await;
            }
        }
    }
}

async fn clean(client: &Client, handle: &Handle) {
    let _ = tokio::time::timeout(CLEANING_WAIT, client.stop(handle, 0)).await;
    let _ = tokio::time::timeout(CLEANING_WAIT, client.remove(handle)).await;
}

/// The outcome of a workload that tried something; it exits with 0 if it succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    Succeeded,
    Failed,
    /// The workload was refused: the runtime cannot give it what it asks for, and the error names the field.
    Refused,
}

/// Whether an error says which field of the specification it is about.
pub(super) fn names_field(error: &crate::Error) -> bool {
    let field = error.details.as_ref().and_then(|details| details["field"].as_str());
    field.is_some_and(|field| !field.is_empty())
}

/// Two hosts, the setting, and the workloads that a case deployed.
pub(super) struct Fixture {
    /// The host.
    pub(super) host: Client,
    /// Another host on the same engine.
    pub(super) other: Client,
    /// A connection to an endpoint without an engine, for runtimes that have endpoints. It is made when a case asks for it.
    nowhere: Cell<Option<Reply<Arc<dyn Link>>>>,
    pub(super) setting: Setting,
    /// The workload for the next step.
    pub(super) left: Cell<Option<Handle>>,
    /// The reason why the case cannot be judged here.
    pub(super) untold: Cell<Option<String>>,
    /// The handles of deployed workloads, each with true if the other host deployed it.
    deployed: RefCell<Vec<(bool, Handle)>>,
}

impl Fixture {
    pub(super) async fn connect(subject: &dyn Subject, setting: Setting, asked: Rc<Asked>) -> Checked<Self> {
        let [host, other] = setting.hosts.clone();
        let connect = async |id: String| {
            let link = subject.connect(&id, None).await.doing("connect")?;
            Ok(Client::new(id, link, Rc::clone(&asked)))
        };
        // The connection is not made until it is awaited.
        let nowhere = subject.connect(&host, setting.folder.join("nowhere").to_str());
        let (host, other) = (connect(host).await?, connect(other).await?);
        let deployed = setting.left.clone().map(|handle| (false, handle)).into_iter().collect();
        Ok(Self {
            host,
            other,
            nowhere: Cell::new(Some(nowhere)),
            setting,
            left: Cell::default(),
            untold: Cell::default(),
            deployed: RefCell::new(deployed),
        })
    }

    /// The health of the runtime at an endpoint without an engine. None if the runtime takes no such endpoint.
    pub(super) async fn health_nowhere(&self) -> Checked<Option<Health>> {
        let Some(connecting) = self.nowhere.take() else { return Ok(None) };
        let Ok(link) = connecting.await else { return Ok(None) };
        let client = Client::new(self.host.host_id.clone(), link, Rc::default());
        client.health().await.doing("health").map(Some)
    }

    /// A workload in a role, over stdio if the runtime declares it, else over HTTP.
    pub(super) fn spec(&self, role: Role<'_>) -> WorkloadSpec {
        let stdio = self.setting.capabilities.contains(&crate::Capability::STDIO);
        let http = Transport::Http { target_port: self.setting.port };
        let material = &self.setting.material;
        let transport = if stdio { Transport::Stdio } else { http };
        self.spec_of(material.source.clone(), role.args(material), transport)
    }

    /// The same over HTTP, with a port.
    pub(super) fn spec_with_port(&self, role: Role<'_>) -> WorkloadSpec {
        WorkloadSpec { transport: Transport::Http { target_port: self.setting.port }, ..self.spec(role) }
    }

    pub(super) fn spec_of(&self, source: Source, args: Vec<String>, transport: Transport) -> WorkloadSpec {
        WorkloadSpec {
            uid: fresh_uid(),
            name: "conformance".to_owned(),
            host_id: self.host.host_id.clone(),
            parent: None,
            source,
            args,
            env: Default::default(),
            transport,
            labels: Default::default(),
            group: None,
            user: None,
            pull: None,
            working_dir: None,
            mounts: Vec::new(),
            cpus: None,
            memory_bytes: None,
            pids_limit: None,
            permission_profile: None,
            allow_weaker: false,
            network_verdict: None,
            supposed: std::collections::BTreeSet::new(),
            pinned: None,
            container: Default::default(),
        }
    }

    pub(super) async fn deploy(&self, spec: &WorkloadSpec) -> Checked<Handle> {
        let is_other = spec.host_id == self.other.host_id;
        let client = if is_other { &self.other } else { &self.host };
        self.keep(is_other, spec, client.deploy(spec).await)
    }

    /// Notes a deployed workload, so that it is removed in the end.
    fn keep(&self, is_other: bool, spec: &WorkloadSpec, deployed: Result<Handle, Fault>) -> Checked<Handle> {
        let handle = deployed.doing("deploy")?;
        self.deployed.borrow_mut().push((is_other, handle.clone()));
        ensure(handle.uid == spec.uid, || "the handle is of another workload".to_owned())?;
        Ok(handle)
    }

    /// Deploys a workload and starts it.
    pub(super) async fn launch(&self, spec: &WorkloadSpec) -> Checked<Handle> {
        let handle = self.deploy(spec).await?;
        let client = if spec.host_id == self.other.host_id { &self.other } else { &self.host };
        client.start(&handle).await.doing("start")?;
        Ok(handle)
    }

    /// A workload that runs until it is stopped.
    pub(super) async fn running(&self) -> Checked<Handle> {
        let handle = self.launch(&self.spec(Role::Idle)).await?;
        self.expect(&handle, WorkloadState::Running, "after 'start'").await?;
        Ok(handle)
    }

    pub(super) async fn stop(&self, handle: &Handle) -> Checked {
        self.host.stop(handle, STOP_MS).await.doing("stop")
    }

    /// Stops a workload after a pause, in which a `wait` that was called at the same time has begun.
    pub(super) async fn stop_later(&self, handle: &Handle) -> Checked {
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.stop(handle).await
    }

    /// Fails unless the workload is in this state.
    pub(super) async fn expect(&self, handle: &Handle, state: WorkloadState, when: &str) -> Checked {
        let seen = self.host.inspect(handle).await.doing("inspect")?;
        ensure(seen.state == state, || format!("{when} it is {:?} instead of {state:?}", seen.state))
    }

    /// Inspects the workload again and again until it has ended by itself.
    pub(super) async fn ended(&self, handle: &Handle) -> Checked<Observation> {
        /// The only witness is the runtime under test itself, and its `wait` is what other cases judge. So it is inspected
        /// repeatedly.
        const PAUSE: Duration = Duration::from_millis(50);
        loop {
            let seen = self.host.inspect(handle).await.doing("inspect")?;
            if seen.state == WorkloadState::Stopped {
                return Ok(seen);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Deploys a workload. None: the runtime refused it and named the field.
    pub(super) async fn may_deploy(&self, spec: &WorkloadSpec) -> Checked<Option<Handle>> {
        self.deployed_unless_refused(spec).await.map(Result::ok)
    }

    async fn deployed_unless_refused(&self, spec: &WorkloadSpec) -> Checked<Result<Handle, crate::Error>> {
        match self.host.deploy(spec).await {
            Err(Fault::Answered(error)) if error.code == ErrorCode::Unsupported => {
                ensure(names_field(&error), || {
                    format!("it is refused without naming a field: {}", error.message)
                })?;
                Ok(Err(error))
            }
            deployed => self.keep(false, spec, deployed).map(Ok),
        }
    }

    /// Runs a workload to its end.
    pub(super) async fn tries(&self, spec: &WorkloadSpec) -> Checked<Tried> {
        match self.may_deploy(spec).await? {
            Some(handle) if self.exits_with_0(&handle).await? => Ok(Tried::Succeeded),
            Some(_) => Ok(Tried::Failed),
            None => Ok(Tried::Refused),
        }
    }

    /// Runs a workload to its end; true if it exited with 0. If the runtime refuses it because the machine cannot enforce
    /// what it asks for, the case ends without a verdict: the runtime has promised nothing.
    pub(super) async fn succeeds(&self, spec: &WorkloadSpec) -> Checked<bool> {
        let handle = self.deploy_to_try(spec).await?;
        self.exits_with_0(&handle).await
    }

    /// The same for several workloads that run at the same time.
    pub(super) async fn succeed_beside<const N: usize>(
        &self,
        specs: [&WorkloadSpec; N],
    ) -> Checked<[bool; N]> {
        let mut handles = Vec::new();
        for spec in specs {
            handles.push(self.deploy_to_try(spec).await?);
        }
        for handle in &handles {
            self.host.start(handle).await.doing("start")?;
        }
        let mut ended = [false; N];
        for (ended, handle) in ended.iter_mut().zip(&handles) {
            *ended = self.ends_with_0(handle).await?;
        }
        Ok(ended)
    }

    async fn deploy_to_try(&self, spec: &WorkloadSpec) -> Checked<Handle> {
        let deployed = self.deployed_unless_refused(spec).await?;
        deployed.map_err(|error| self.untold(format!("it is refused here: {}", error.message)))
    }

    async fn exits_with_0(&self, handle: &Handle) -> Checked<bool> {
        self.host.start(handle).await.doing("start")?;
        self.ends_with_0(handle).await
    }

    async fn ends_with_0(&self, handle: &Handle) -> Checked<bool> {
        let exit = self.host.wait(handle).await.doing("wait")?;
        Ok(exit.code == Some(0))
    }

    /// Ends the case without a verdict, for this reason.
    pub(super) fn untold(&self, why: String) -> Breach {
        self.untold.set(Some(why.clone()));
        Breach(why)
    }

    /// Leaves a workload for the next step, which runs in another process.
    pub(super) fn leave(&self, handle: Handle) {
        self.left.set(Some(handle));
    }

    /// The workload that the step before has left.
    pub(super) fn left(&self) -> Checked<Handle> {
        self.setting.left.clone().ok_or_else(|| Breach("nothing was left by the step before".to_owned()))
    }

    pub(super) async fn clean(&self) {
        let deployed = self.deployed.take();
        for (is_other, handle) in deployed {
            clean(if is_other { &self.other } else { &self.host }, &handle).await;
        }
    }
}

/// 32 hexadecimal digits that are not used twice on one engine.
pub(super) fn fresh_uid() -> String {
    use std::hash::{BuildHasher, RandomState};
    // Each `RandomState` has keys from the system's random numbers.
    let part = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", part(), part())
}
