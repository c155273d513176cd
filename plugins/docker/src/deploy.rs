//! Makes the container of a specification, or finds the stopped one of an earlier deployment. If it fails, nothing stays
//! behind.
use crate::{
    container, digest,
    endpoint::endpoint_of,
    engine::Engine,
    error::{is_missing, operation},
    flavor::Flavor,
    handle::HandleData,
    image, labels, limits, mount_advice, mounts,
    name::{self, Holder},
    observe::Summary,
    options, platform_check,
    port::target_port,
    proxies::Proxies,
    removal::force_remove,
    runtime::ContainerRuntime,
    search::Surroundings,
    supposed,
};
use bollard::{
    errors::Error as Refusal,
    models::{ContainerCreateBody, MountType},
    query_parameters::{CreateContainerOptionsBuilder, WaitContainerOptionsBuilder},
};
use futures_util::StreamExt;
use std::{os::unix::fs::MetadataExt, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use wharf_sdk::{
    Error, ErrorCode, Handle, HostServices, PullPolicy, Result, WorkloadSpec, WorkloadState, document::Event,
    keyed_lock::KeyedGuard,
};

/// The number of names that are tried.
const NAMES: usize = 5;
/// How long Podman may take to clean up after a container that has ended. If it takes longer, the container is made anew, and
/// what it wrote is lost; so a Podman that has much to do is given time.
const CLEANING: Duration = Duration::from_secs(60);
/// A part of Podman's error when it has no init program for containers.
const NO_INIT: &str = "container-init binary";
/// What a user is told then.
const NO_INIT_TOLD: &str = "Podman has no init program for containers, so the server is the first process of its container: \
    it ignores signals that it does not handle, and orphaned processes stay; install catatonit, or run it with --no-init";

impl ContainerRuntime {
    /// Makes the container without starting it; or keeps an earlier one that was made of the same specification.
    pub(crate) async fn make(&self, spec: &WorkloadSpec) -> Result<Handle> {
        let mut body = container::body(self.flavor, spec, &self.private_dirs)?;
        let engine = self.engine().await?;
        let turn = self.turns.lock(&spec.uid).await;
        self.refuse_missing_sources(&engine, &body).await?;
        // With `pull: always` the user wants a container of the newest image. Otherwise an existing container is kept, even
        // if the name of its image leads to another image by now.
        let newest = match spec.pull {
            Some(PullPolicy::Always) => Some(image::provide(self, &engine, spec).await?),
            _ => None,
        };
        let image_id = newest.as_ref().map_or("", |image| image.id.as_str());
        let digest = digest::of(self.flavor, &body, image_id, spec);
        body.labels.get_or_insert_default().insert(labels::SPEC.to_owned(), digest.clone());
        let (container, target_port) = match self.earlier(&engine, spec, &digest).await? {
            Earlier::Kept { container, target_port } => (container, target_port),
            earlier => {
                let image = match newest {
                    Some(image) => image,
                    None => image::provide(self, &engine, spec).await?,
                };
                let (name, asked) = (container::image(spec)?.text, spec.container.platform.as_deref());
                platform_check::platform(&engine, name, &image, asked).await?;
                let settled = supposed::settled(spec, &image);
                if settled != *spec {
                    // The digest stays that of the specification: it is what a later deployment compares.
                    body = container::body(self.flavor, &settled, &self.private_dirs)?;
                    body.labels.get_or_insert_default().insert(labels::SPEC.to_owned(), digest.clone());
                }
                // Not in the digest either: as with `docker run`, a container has the proxies of its creation.
                self.proxies(&engine).add_to(body.env.get_or_insert_default());
                self.tell_of_ports(spec, &settled, &image);
                self.resolve_gateway(&engine, &mut body).await?;
                self.warn_of_mounts(&engine, spec, &body, &image.user).await;
                // The obsolete container is removed only now, when the image for its successor is there.
                if let Earlier::Obsolete(container) = earlier {
                    self.remove_container(&engine, &container).await?;
                }
                let instance = engine.instance_told_last().await;
                let instance = instance.map_err(|error| self.lost(&engine, &error))?;
                let label = labels::of_instance(&instance, &spec.host_id, &spec.uid);
                let labels = body.labels.get_or_insert_default();
                labels.insert(labels::INSTANCE.to_owned(), label);
                // Empty rather than absent, as in `labels::of`. Not among those: the digest of the specification has them, and
                // a container of an earlier version, which had no such label, is still the same.
                labels.insert(labels::PARENT.to_owned(), spec.parent.clone().unwrap_or_default());
                let target_port = target_port(&settled);
                let host = self.host.clone();
                let making = Making { engine, host, spec: settled, body };
                (self.noted(making.begin(turn).await)?, target_port)
            }
        };
        self.remembered.keep();
        Ok(HandleData { container, target_port }.to_handle(&spec.uid))
    }

    /// The proxies that the user has told Docker for containers. Podman's own client reads other files.
    fn proxies(&self, engine: &Engine) -> Proxies {
        if self.flavor != Flavor::Docker {
            return Proxies::default();
        }
        let folder = Surroundings::of_this_process().docker_folder();
        Proxies::of(folder.as_deref(), &endpoint_of(&engine.socket))
    }

    /// Tells the user of the port that an image names, and of one that a server on stdio probably listens on.
    fn tell_of_ports(&self, spec: &WorkloadSpec, settled: &WorkloadSpec, image: &image::Provided) {
        let tell = |message: String, is_warning| {
            self.host.event(&Event { uid: spec.uid.clone(), message, progress: None, is_warning });
        };
        if let Some(warning) = supposed::warning(spec, image) {
            tell(warning, true);
        }
        if let Some(port) = target_port(settled).filter(|port| Some(*port) != target_port(spec)) {
            tell(format!("the image names the port {port}: its server is expected there"), false);
        }
    }

    /// Podman makes a folder in the place of a missing source, so it is refused here; Docker refuses it itself, but for a
    /// source that gets a label. An engine in a virtual machine sees other files, so nothing is checked for that one.
    async fn refuse_missing_sources(&self, engine: &Engine, body: &ContainerCreateBody) -> Result<()> {
        let Some(host) = &body.host_config else { return Ok(()) };
        let binds = host.mounts.iter().flatten().filter(|mount| mount.typ == Some(MountType::BIND));
        let binds =
            binds.filter(|_| self.flavor == Flavor::Podman).filter_map(|mount| mount.source.as_deref());
        let labelled = host.binds.iter().flatten().filter_map(|bind| bind.split(':').next());
        let sources: Vec<String> = binds.chain(labelled).map(str::to_owned).collect();
        if sources.is_empty() {
            return Ok(());
        }
        match engine.is_of_this_machine().await {
            Ok(true) => mounts::refuse_missing(&sources),
            Ok(false) => Ok(()),
            Err(error) => Err(self.failed("the engine cannot be asked where it is", &error.into())),
        }
    }

    /// Puts the address of this machine in the place of its name for Podman, which takes that name for an address.
    async fn resolve_gateway(&self, engine: &Engine, body: &mut ContainerCreateBody) -> Result<()> {
        let Some(host) = body.host_config.as_mut().filter(|_| self.flavor == Flavor::Podman) else {
            return Ok(());
        };
        if !host.extra_hosts.iter().flatten().any(|name| name.ends_with(options::GATEWAY)) {
            return Ok(());
        }
        let network = match host.network_mode.as_deref() {
            None | Some("bridge") => "podman",
            Some(name) => name,
        };
        let seen = engine.client.inspect_network(network, None).await;
        let seen = seen.map_err(|error| self.failed("the address of this machine is not known", &error))?;
        let gateway = seen.ipam.and_then(|ipam| ipam.config?.into_iter().find_map(|config| config.gateway));
        let Some(gateway) = gateway else {
            return Err(Error::precondition(format!(
                "the network '{network}' has no address of this machine; there the name host.containers.internal stands for it"
            )));
        };
        for name in host.extra_hosts.iter_mut().flatten() {
            *name = name.replace(options::GATEWAY, &gateway);
        }
        Ok(())
    }

    /// Tells the user what the workload will not be able to do with its mounts, or could do with them.
    async fn warn_of_mounts(
        &self,
        engine: &Engine,
        spec: &WorkloadSpec,
        body: &ContainerCreateBody,
        image_user: &str,
    ) {
        if spec.mounts.is_empty() || !matches!(engine.is_of_this_machine().await, Ok(true)) {
            return;
        }
        let engine_user = std::fs::metadata(&engine.socket).map_or(0, |socket| socket.uid());
        for message in mount_advice::of(body, image_user, engine_user, &engine.socket) {
            self.host.event(&Event { uid: spec.uid.clone(), message, progress: None, is_warning: true });
        }
    }

    /// Looks for a container of an earlier deployment of this uid. It is an error if it runs.
    async fn earlier(&self, engine: &Engine, spec: &WorkloadSpec, digest: &str) -> Result<Earlier> {
        let ours = [format!("{}={}", labels::HOST_ID, spec.host_id), format!("{}={}", labels::UID, spec.uid)];
        let seen = engine.list(&ours).await;
        let seen = seen.map_err(|error| self.failed("an earlier container cannot be looked for", &error))?;
        let one = match seen.as_slice() {
            [] => return Ok(Earlier::None),
            [one] => one,
            several => return Err(several_of_it(several)),
        };
        let id = one.id.clone().unwrap_or_default();
        match one.doing() {
            WorkloadState::Running => {
                let message = format!("the workload is deployed already, and runs as container {id}");
                Err(Error::new(ErrorCode::AlreadyExists, message))
            }
            WorkloadState::Created | WorkloadState::Stopped
                if one.label(labels::SPEC) == Some(digest) && is_cleaned_up(engine, one).await =>
            {
                let target_port = one.label(labels::TARGET_PORT).and_then(|port| port.parse().ok());
                Ok(Earlier::Kept { container: id, target_port })
            }
            _ => Ok(Earlier::Obsolete(id)),
        }
    }
}

/// The container of an earlier deployment.
enum Earlier {
    None,
    /// It was made of the same specification, and can be started again.
    Kept {
        container: String,
        target_port: Option<u16>,
    },
    /// It was made of another specification.
    Obsolete(String),
}

/// Whether a container can be started again; waits until Podman has cleaned up after it.
async fn is_cleaned_up(engine: &Engine, seen: &Summary) -> bool {
    let (true, Some(id)) = (seen.is_being_cleaned_up(), &seen.id) else { return true };
    let options = WaitContainerOptionsBuilder::new().condition("exited").build();
    let mut ended = std::pin::pin!(engine.client.wait_container(id, Some(options)));
    tokio::time::timeout(CLEANING, ended.next()).await.is_ok()
}

fn several_of_it(seen: &[Summary]) -> Error {
    let ids: Vec<&str> = seen.iter().filter_map(|seen| seen.id.as_deref()).collect();
    Error::precondition(format!(
        "several containers carry the uid of this workload, and nobody chooses one: {}; remove those that are not wanted",
        ids.join(", ")
    ))
}

/// A container that is to be made.
struct Making {
    engine: Arc<Engine>,
    host: HostServices,
    spec: WorkloadSpec,
    body: ContainerCreateBody,
}

impl Making {
    /// Makes the container in a task. If the caller gives up, the task removes the container again when the engine answers;
    /// only then is the lock released for the next deployment.
    async fn begin(self, turn: KeyedGuard) -> Result<String> {
        let (answer, answered) = oneshot::channel::<Result<String>>();
        tokio::spawn(async move {
            let engine = self.engine.clone();
            let made = self.run().await;
            if let Err(Ok(container)) = answer.send(made)
                && let Err(error) = force_remove(&engine, &container).await
            {
                tracing::warn!(%error, container, "the container of an abandoned deployment stays");
            }
            drop(turn);
        });
        answered
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorCode::Timeout, "the engine did not answer in time")))
    }

    async fn run(mut self) -> Result<String> {
        let (container, warnings) = self.create().await?;
        let left_out = limits::left_out(&warnings, &self.spec);
        if left_out.is_empty() {
            return Ok(container);
        }
        self.remove(&container).await?;
        if !self.spec.allow_weaker {
            let parts: Vec<String> =
                left_out.iter().map(|part| format!("{}: {}", part.what, part.how)).collect();
            let message = format!("the engine leaves out what was asked for ({})", parts.join("; "));
            return Err(Error::unsupported(&left_out[0].what, message));
        }
        // Labels cannot be changed later. So where the engine left limits out, the container is made again, with a label
        // that says so.
        let labels = self.body.labels.get_or_insert_default();
        let mut all: Vec<wharf_sdk::Measure> =
            labels.get(labels::WEAKER).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        all.extend(left_out);
        labels.insert(labels::WEAKER.to_owned(), container::weaker(&all));
        self.create().await.map(|(container, _)| container)
    }

    /// Makes one container, under the first name that is free.
    async fn create(&mut self) -> Result<(String, Vec<String>)> {
        let mut name = container::name(&self.spec);
        let mut error = None;
        for attempt in 2..2 + NAMES {
            let refused = match self.ask(&name).await {
                Ok(made) => return Ok(made),
                Err(refused) if name::is_taken(&refused) => refused,
                Err(refused) => return Err(not_made(self.engine.flavor, &refused)),
            };
            match name::make_free(&self.engine, &name, &self.spec).await {
                Ok(Holder::Nobody) => {}
                Ok(Holder::Foreign) => name = container::other_name(&self.spec, attempt),
                Ok(Holder::OwnRunning) => {
                    let message = format!("the workload is deployed already, and runs as container {name}");
                    return Err(Error::new(ErrorCode::AlreadyExists, message));
                }
                Err(refused) => return Err(not_made(self.engine.flavor, &refused)),
            }
            error = Some(not_made(self.engine.flavor, &refused));
        }
        Err(error.unwrap_or_else(|| Error::internal("no name was tried")))
    }

    async fn ask(&mut self, name: &str) -> std::result::Result<(String, Vec<String>), Refusal> {
        let create = async |body: ContainerCreateBody| {
            let platform = self.spec.container.platform.as_deref().unwrap_or_default();
            let options = CreateContainerOptionsBuilder::new().name(name).platform(platform).build();
            self.engine.client.create_container(Some(options), body).await
        };
        let made = match create(self.body.clone()).await {
            Err(refused) if refused.to_string().contains(NO_INIT) => {
                if let Some(host) = &mut self.body.host_config {
                    host.init = None;
                }
                let made = create(self.body.clone()).await;
                if made.is_ok() {
                    self.tell_of_no_init();
                }
                made
            }
            made => made,
        };
        made.map(|made| (made.id, made.warnings))
    }

    fn tell_of_no_init(&self) {
        let message = NO_INIT_TOLD.to_owned();
        self.host.event(&Event { uid: self.spec.uid.clone(), message, progress: None, is_warning: true });
    }

    async fn remove(&self, container: &str) -> Result<()> {
        let removed = force_remove(&self.engine, container).await;
        removed.map_err(|error| {
            operation(
                self.engine.flavor,
                "a container that is not what was asked for cannot be removed",
                &error,
            )
        })
    }
}

fn not_made(flavor: Flavor, error: &Refusal) -> Error {
    /// A part of Docker's error for a mount whose source is missing.
    const NO_SOURCE: &str = "bind source path does not exist";
    let mut failed = operation(flavor, "the container cannot be made", error);
    // In these cases the engine reports that something is missing or taken, so it has made nothing.
    if is_missing(error) || name::is_taken(error) || failed.message.contains(NO_SOURCE) {
        failed.code = ErrorCode::FailedPrecondition;
    }
    failed
}
