//! [`Engine`]: one engine behind one socket. It knows the engine's kind, the version of the protocol to speak, and the
//! instance.
use crate::{
    answer::read,
    close_look,
    error::is_silent,
    flavor::Flavor,
    http::Session,
    identity::Identity,
    image_id::bare,
    introduction::{Introduced, Introductions, Unknown},
    labels,
    observe::{Inspection, Summary},
    platform::Platform,
    remembered::Remembered,
    signs_of_life::while_alive,
};
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker, errors::Error};
use hyper::HeaderMap;
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    collections::HashMap,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use wharf_sdk::machine_id;

/// bollard's own limit for the beginning of an answer, in seconds. It is switched off: the end of a container may be waited
/// for without limit, and the host sets a deadline for every other call.
const NO_TIMEOUT_S: u64 = u64::MAX;
/// Podman's name among the components in an answer to `/version`.
const PODMAN: &str = "Podman Engine";

/// An engine that has answered.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Docker or Podman; the engine said so itself.
    pub(crate) flavor: Flavor,
    /// A client for the newest version that both sides know.
    pub(crate) client: Docker,
    pub(crate) socket: PathBuf,
    /// The engine's own version; paths of Podman's own interface contain it.
    pub(crate) version: String,
    /// The instance of the last answer.
    instance: Mutex<Option<String>>,
    introductions: Introductions,
    remembered: Remembered,
}

/// Which containers are asked for, running or not.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    /// Those that wharf made and that have these labels.
    Ours(&'a [String]),
    /// Those that have these labels, whoever made them.
    Whosever(&'a [String]),
}

/// Which kind of engine answers, and which versions it is of.
struct Greeting {
    flavor: Flavor,
    version: String,
    api_version: String,
}

/// The fields of an answer to `/version` that are read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
    api_version: String,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: String,
}

/// The fields of Docker's `/info` that identify an engine.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerInfo {
    #[serde(rename = "ID")]
    id: String,
    docker_root_dir: String,
    /// The name of the machine that it runs on.
    #[serde(default)]
    name: String,
}

/// The fields of an answer to `/version` that tell what an engine runs.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Runs {
    os: String,
    arch: String,
}

/// The fields of Podman's own `/info` that identify an engine.
#[derive(Deserialize)]
struct PodmanInfo {
    host: PodmanHost,
    store: PodmanStore,
}

#[derive(Deserialize)]
struct PodmanHost {
    hostname: String,
}

/// The fields of a listed image that are read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    id: String,
    labels: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodmanStore {
    graph_root: String,
}

impl Engine {
    /// Asks which engine answers at a socket. Every engine has paths without a version, which are used for this.
    pub(crate) async fn reach(socket: &Path) -> io::Result<Self> {
        let Greeting { flavor, version, api_version } = greeting(socket).await?;
        let api = common_version(&api_version)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its version makes no sense"))?;
        let path = socket.to_str().ok_or_else(|| io::Error::other("its path is not UTF-8"))?;
        let client = Docker::connect_with_unix(path, NO_TIMEOUT_S, &api).map_err(io::Error::other)?;
        Ok(Self {
            flavor,
            client,
            socket: socket.to_owned(),
            version,
            instance: Mutex::default(),
            introductions: Introductions::default(),
            remembered: Remembered::default(),
        })
    }

    /// With the identities of processes that answered before.
    pub(crate) fn remembering(self, remembered: Remembered) -> Self {
        Self { remembered, ..self }
    }

    /// The instance: an id of this engine that no other one has, not even another one behind the same socket.
    ///
    /// Docker: two engines on one machine may have the same ID, so the data root is a part of it. Podman: the ID that it
    /// gives to Docker's clients changes with each answer. It is identified by its storage, the user of its socket, and the
    /// machine: this one, together with the one that the engine runs on, which may be a virtual one.
    pub(crate) async fn instance(&self) -> io::Result<String> {
        Ok(self.identity().await?.instance)
    }

    /// The identity. An engine that introduced itself a moment ago only has to answer a ping on the same connection.
    async fn identity(&self) -> io::Result<Identity> {
        let mut turn = self.introductions.turn().await;
        if let Some(mut introduced) = turn.take(&self.socket) {
            match introduced.session.ping().await {
                Ok(_) => {
                    let identity = introduced.identity.clone();
                    turn.keep(introduced);
                    return Ok(identity);
                }
                Err(silent) if silent.kind() == io::ErrorKind::TimedOut => return Err(silent),
                // If the kept connection was closed meanwhile, that says nothing about the engine.
                Err(_) => {}
            }
        }
        let introduced = self.introduce().await?;
        let identity = introduced.identity.clone();
        turn.keep(introduced);
        Ok(identity)
    }

    async fn introduce(&self) -> io::Result<Introduced> {
        let mut unknown = Unknown::at(&self.socket).await?;
        let podman = unknown.podman.clone();
        if let Some(identity) = podman.as_ref().and_then(|podman| self.remembered.identity_of(podman)) {
            // The process lives; the ping shows that it also answers.
            unknown.session.ping().await?;
            self.note(&identity);
            return Ok(unknown.is(identity));
        }
        let identity = self.identity_on(&mut unknown.session).await?;
        if let Some(podman) = podman {
            self.remembered.learn(podman, &identity);
        }
        self.note(&identity);
        Ok(unknown.is(identity))
    }

    fn note(&self, identity: &Identity) {
        *self.instance.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity.instance.clone());
    }

    /// Lists on a connection whose engine has introduced itself.
    async fn listed(&self, wanted: Wanted<'_>) -> Result<(String, Vec<Summary>), Error> {
        let mut turn = self.introductions.turn().await;
        if let Some(mut introduced) = turn.take(&self.socket) {
            let instance = introduced.identity.instance.clone();
            match self.list_on(&mut introduced.session, wanted, Some(&instance)).await {
                Ok(seen) => {
                    turn.keep(introduced);
                    return Ok((instance, seen));
                }
                Err(silent) if is_silent(&silent) => return Err(silent),
                Err(_) => {}
            }
        }
        let mut introduced = self.introduce().await?;
        let instance = introduced.identity.instance.clone();
        let seen = self.list_on(&mut introduced.session, wanted, Some(&instance)).await?;
        turn.keep(introduced);
        Ok((instance, seen))
    }

    async fn identity_on(&self, session: &mut Session) -> io::Result<Identity> {
        match self.flavor {
            Flavor::Docker => {
                let info: DockerInfo = session.get("/info").await?;
                let instance = format!("{} {}", info.id, info.docker_root_dir);
                Ok(Identity { instance, hostname: Some(info.name) })
            }
            Flavor::Podman => {
                let PodmanInfo { host, store } =
                    session.get(&format!("/v{}/libpod/info", self.version)).await?;
                let user = std::fs::metadata(&self.socket)?.uid();
                let instance = format!("{}/{}/{user} {}", machine_id(), host.hostname, store.graph_root);
                Ok(Identity { instance, hostname: Some(host.hostname) })
            }
        }
    }

    /// The instance of the last answer, for the label of a new container. It is recent enough: the host asks for the
    /// instance just before each deployment, and afterwards believes only what a listing with the instance shows.
    pub(crate) async fn instance_told_last(&self) -> io::Result<String> {
        let told = self.instance.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match told {
            Some(instance) => Ok(instance),
            None => self.instance().await,
        }
    }

    /// What it runs; none if it does not say.
    pub(crate) async fn platform(&self) -> Option<Platform> {
        let Runs { os, arch } = Session::open(&self.socket).await.ok()?.get("/version").await.ok()?;
        Some(Platform::new(&os, &arch))
    }

    /// Whether paths of this machine mean the same files to it.
    pub(crate) async fn is_of_this_machine(&self) -> io::Result<bool> {
        let hostname = self.identity().await?.hostname;
        Ok(hostname.is_some_and(|name| name.as_bytes() == rustix::system::uname().nodename().to_bytes()))
    }

    /// All containers with these labels, running or not.
    pub(crate) async fn list(&self, labels: &[String]) -> Result<Vec<Summary>, Error> {
        self.list_on(&mut Session::open(&self.socket).await?, Wanted::Ours(labels), None).await
    }

    /// All containers with these labels, and the instance that has them. Both are asked on one connection, so that one
    /// engine gives both answers. Where a container carries the label of the presumed instance, that is proof enough, and
    /// the instance is not asked for.
    pub(crate) async fn list_with_instance(
        &self,
        labels: &[String],
        presumed: Option<&str>,
    ) -> Result<(String, Vec<Summary>), Error> {
        if let Some(presumed) = presumed {
            let mut session = Session::open(&self.socket).await?;
            let seen = self.list_on(&mut session, Wanted::Ours(labels), Some(presumed)).await?;
            if seen.iter().any(|seen| seen.is_made_by(presumed)) {
                return Ok((presumed.to_owned(), seen));
            }
        }
        self.listed(Wanted::Ours(labels)).await
    }

    /// All containers with these labels, whoever made them, and the instance.
    pub(crate) async fn list_whosever(&self, labels: &[String]) -> Result<(String, Vec<Summary>), Error> {
        // An engine takes a filter without values for no filter, and would list everything.
        if labels.is_empty() {
            return Ok((self.instance().await?, Vec::new()));
        }
        self.listed(Wanted::Whosever(labels)).await
    }

    /// Lists on a connection, to an engine that is, or is presumed to be, this instance.
    async fn list_on(
        &self,
        session: &mut Session,
        wanted: Wanted<'_>,
        instance: Option<&str>,
    ) -> Result<Vec<Summary>, Error> {
        let (Wanted::Ours(labels) | Wanted::Whosever(labels)) = wanted;
        let path = format!("/containers/json?all=true&{}", filters("label", labels));
        let mut seen: Vec<Summary> = read(session.ask(&path).await?)?;
        if let (Wanted::Ours(labels), false) = (wanted, seen.is_empty()) {
            let one = labels
                .iter()
                .find(|label| label.split_once('=').is_some_and(|(name, _)| name == labels::UID));
            let copies = self.copies_on(session, one.map_or(labels::UID, String::as_str)).await?;
            seen.retain(|seen| !seen.is_made_of(&copies));
            if one.is_some() || close_look::is_called_for(self.flavor, instance).await {
                close_look::look_closely(session, &mut seen).await?;
            }
        }
        Ok(seen)
    }

    /// The uids in labels of images, by image. An image that a user made of one of our containers (`docker commit`) carries
    /// the container's labels, and so do new containers of that image, which are the user's. `label` selects the images:
    /// any uid, or one.
    async fn copies_on(&self, session: &mut Session, label: &str) -> Result<HashMap<String, String>, Error> {
        let path = format!("/images/json?{}", filters("label", &[label.to_owned()]));
        let images: Vec<Image> = read(session.ask(&path).await?)?;
        let uid = |image: Image| Some((bare(&image.id).to_owned(), image.labels?.remove(labels::UID)?));
        Ok(images.into_iter().filter_map(uid).collect())
    }

    /// Waits for the answer to a change as long as the engine shows that it is alive.
    pub(crate) async fn alive<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        while_alive(answer, || async { Session::open(&self.socket).await?.ping().await.map(drop) }).await
    }

    /// One container.
    pub(crate) async fn inspect(&self, container: &str) -> Result<Inspection, Error> {
        self.ask(&format!("/containers/{container}/json")).await
    }

    /// A request whose answer bollard cannot parse: it knows only Docker's states, and refuses an answer with one of
    /// Podman's.
    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        read(Session::open(&self.socket).await?.ask(path).await?)
    }
}

/// Asks which engine answers. Both engines say so in the headers of an answer to a ping. `/version` is asked only if they
/// are missing: to answer it, Podman asks the machine's package manager about its parts, twice, which takes longer than the
/// start of a container.
async fn greeting(socket: &Path) -> io::Result<Greeting> {
    let headers = Session::open(socket).await?.ping().await?;
    if let Some(greeting) = greeting_in(&headers) {
        return Ok(greeting);
    }
    let Version { version, api_version, components } = Session::open(socket).await?.get("/version").await?;
    let is_podman = components.iter().any(|component| component.name == PODMAN);
    let flavor = if is_podman { Flavor::Podman } else { Flavor::Docker };
    Ok(Greeting { flavor, version, api_version })
}

fn greeting_in(headers: &HeaderMap) -> Option<Greeting> {
    let text = |name: &str| headers.get(name)?.to_str().ok().filter(|text| !text.is_empty());
    let api_version = text("api-version")?.to_owned();
    if let Some(version) = text("libpod-api-version") {
        return Some(Greeting { flavor: Flavor::Podman, version: version.to_owned(), api_version });
    }
    let version = text("server")?.strip_prefix("Docker/")?.to_owned();
    Some(Greeting { flavor: Flavor::Docker, version, api_version })
}

/// A filter, as a query string.
fn filters(name: &str, values: &[String]) -> String {
    let filters = serde_json::json!({ name: values }).to_string();
    let filters: String = form_urlencoded::byte_serialize(filters.as_bytes()).collect();
    format!("filters={filters}")
}

/// The newest version that both sides know: the engine's, or bollard's.
fn common_version(theirs: &str) -> Option<ClientVersion> {
    let (major, minor) = theirs.split_once('.')?;
    // Podman's version has three numbers.
    let minor = minor.split('.').next()?;
    let theirs = ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? };
    Some(if theirs < *API_DEFAULT_VERSION { theirs } else { *API_DEFAULT_VERSION })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_of_both_versions_is_spoken() {
        let spoken = |theirs| common_version(theirs).map(|version| version.to_string());
        assert_eq!(spoken("1.41").as_deref(), Some("1.41"));
        assert_eq!(spoken("1.999"), Some(API_DEFAULT_VERSION.to_string()));
        assert_eq!(spoken("1.41.2").as_deref(), Some("1.41"));
        assert_eq!(spoken("new"), None);
    }
}
