//! What a user should know about the mounts of a workload before it starts: folders that its user cannot use, and the
//! socket of an engine, or a folder that holds one, which gives it this machine. Nothing is refused for this: it may be what
//! the user wants.
//!
//! Called for engines on this machine alone: the files of another one are not seen from here.
use crate::options;
use bollard::models::{ContainerCreateBody, MountType};
use std::{
    fs::Metadata,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

/// Parts of the names of engines' sockets.
const ENGINES: [&str; 5] = ["docker", "podman", "containerd", "crio", "buildkit"];
/// Where sockets of engines usually are.
const USUAL: [&str; 5] = [
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
];
/// Capabilities of root with which the modes of files do not count.
const OVERRIDES: [&str; 2] = ["DAC_OVERRIDE", options::ALL];
const READ: u32 = 0o4;
const WRITE: u32 = 0o2;
const SEARCH: u32 = 0o1;

/// One path of this machine in a container.
struct Bind<'a> {
    source: &'a str,
    target: &'a str,
    read_only: bool,
}

/// The user that a container's first process runs as, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

/// Sentences about the mounts of a container that is to be made. `image_user` is the user of its image; `engine_user` the
/// one that the engine runs as, and `endpoint` its socket.
pub(crate) fn of(
    body: &ContainerCreateBody,
    image_user: &str,
    engine_user: u32,
    endpoint: &Path,
) -> Vec<String> {
    let asked = body.user.as_deref().unwrap_or(image_user);
    let user = User::named(asked).and_then(|user| user.outside(engine_user));
    let keeps = body.host_config.as_ref().and_then(|host| host.cap_add.as_deref()).unwrap_or_default();
    let privileged = body.host_config.as_ref().and_then(|host| host.privileged).unwrap_or_default();
    let ignores_modes = privileged || keeps.iter().any(|name| OVERRIDES.contains(&name.as_str()));
    let mut sentences = Vec::new();
    for bind in binds(body) {
        let Ok(metadata) = std::fs::metadata(bind.source) else { continue };
        // No advice follows that would let the workload's user use such a socket.
        if let Some(gives) = gives_an_engine(bind.source, &metadata, endpoint) {
            sentences
                .push(format!("{gives}: the workload can do with this machine whatever that engine can"));
        } else if let Some(user) = user
            && !(user.uid == 0 && ignores_modes)
            && let Some(what) = user.lacks(&metadata, bind.read_only)
        {
            sentences.push(unusable(&bind, asked, &metadata, what));
        }
    }
    sentences
}

/// In words, that a path is the socket of an engine, or a folder that holds one; none if it is neither.
fn gives_an_engine(source: &str, metadata: &Metadata, endpoint: &Path) -> Option<String> {
    let real = Path::new(source).canonicalize().unwrap_or_else(|_| PathBuf::from(source));
    if metadata.is_dir() {
        let sockets = std::iter::once(endpoint).chain(USUAL.into_iter().map(Path::new));
        let held = sockets.filter_map(|socket| socket.canonicalize().ok()).find(|socket| {
            socket.starts_with(&real) && std::fs::metadata(socket).is_ok_and(|it| it.file_type().is_socket())
        })?;
        return Some(format!("{source} holds the socket of an engine ({})", held.display()));
    }
    let is_named = [Path::new(source), &real].into_iter().any(has_engines_name);
    let is_engine = metadata.file_type().is_socket() && (is_named || is_same(metadata, endpoint));
    is_engine.then(|| format!("{source} is the socket of an engine"))
}

/// Whether a socket is called as those of engines are.
fn has_engines_name(socket: &Path) -> bool {
    let is_socket = socket.extension().is_some_and(|ending| ending == "sock");
    let stem = socket.file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase());
    is_socket && stem.is_some_and(|stem| ENGINES.iter().any(|engine| stem.contains(engine)))
}

/// Whether this is the file at a path, whatever its name.
fn is_same(metadata: &Metadata, path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|it| (it.dev(), it.ino()) == (metadata.dev(), metadata.ino()))
}

fn binds(body: &ContainerCreateBody) -> impl Iterator<Item = Bind<'_>> {
    let host = body.host_config.as_ref();
    let mounts = host.and_then(|host| host.mounts.as_deref()).unwrap_or_default();
    let mounts = mounts.iter().filter(|mount| mount.typ == Some(MountType::BIND)).filter_map(|mount| {
        let read_only = mount.read_only.unwrap_or_default();
        Some(Bind { source: mount.source.as_deref()?, target: mount.target.as_deref()?, read_only })
    });
    let labelled = host.and_then(|host| host.binds.as_deref()).unwrap_or_default();
    mounts.chain(labelled.iter().filter_map(|text| {
        let mut parts = text.split(':');
        let (source, target) = (parts.next()?, parts.next()?);
        Some(Bind { source, target, read_only: parts.next()?.starts_with("ro") })
    }))
}

fn unusable(bind: &Bind<'_>, asked: &str, metadata: &Metadata, what: &str) -> String {
    let who = match asked {
        "" | "0" | "root" => "root, which has no capabilities there,".to_owned(),
        other => format!("the user {other}"),
    };
    let (uid, gid, mode) = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
    let remedy = if what == "written" { ", or mount it with :ro" } else { "" };
    format!(
        "{}, which is mounted at {}, cannot be {what} by {who} as whom the workload runs: it belongs to {uid}:{gid} and has \
         the mode {mode:04o}; change its owner or mode, or run it as --user {uid}:{gid}{remedy}",
        bind.source, bind.target,
    )
}

impl User {
    /// The user in an image's or a request's words; none for a name other than `root`, which only the image knows.
    fn named(text: &str) -> Option<Self> {
        let number = |text: &str| if matches!(text, "" | "root") { Some(0) } else { text.parse().ok() };
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        Some(Self { uid: number(user)?, gid: number(group)? })
    }

    /// The same user as this machine numbers it. An engine that an ordinary user runs takes that user for its root, and
    /// others for users that are not known here.
    fn outside(self, engine_user: u32) -> Option<Self> {
        match (engine_user, self.uid) {
            (0, _) => Some(self),
            (_, 0) => Some(Self { uid: engine_user, gid: engine_user }),
            (_, _) => None,
        }
    }

    /// What cannot be done with a file by this user, who has no capabilities: `read` or `written`.
    fn lacks(self, metadata: &Metadata, read_only: bool) -> Option<&'static str> {
        let shift = match (metadata.uid() == self.uid, metadata.gid() == self.gid) {
            (true, _) => 6,
            (false, true) => 3,
            (false, false) => 0,
        };
        let granted = metadata.mode() >> shift;
        let search = if metadata.is_dir() { SEARCH } else { 0 };
        let may = |right: u32| granted & (right | search) == right | search;
        if !may(READ) {
            return Some("read");
        }
        (!read_only && !may(WRITE)).then_some("written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{container, flavor::Flavor};
    use std::{fs::Permissions, os::unix::fs::PermissionsExt, os::unix::net::UnixListener};

    fn sentences(mount: &str, user: Option<&str>, image_user: &str, cap_add: &[&str]) -> Vec<String> {
        sentences_at(Path::new("/nowhere"), mount, user, image_user, cap_add)
    }

    fn sentences_at(
        endpoint: &Path,
        mount: &str,
        user: Option<&str>,
        image_user: &str,
        cap_add: &[&str],
    ) -> Vec<String> {
        let spec = container::tests::spec(serde_json::json!({
            "mounts": [mount], "user": user, "container": { "cap_add": cap_add },
        }));
        of(&container::body(Flavor::Docker, &spec, &[]).unwrap(), image_user, 0, endpoint)
    }

    #[test]
    fn a_folder_that_the_user_of_the_image_cannot_use_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let owner = std::fs::metadata(folder.path()).unwrap().uid();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let (writable, readable) =
            (format!("{}:/data", folder.path().display()), format!("{}:/data:ro", folder.path().display()));
        let other_user = (owner + 4711).to_string();
        let told = sentences(&writable, None, &other_user, &[]);
        assert!(told[0].contains("cannot be written") && told[0].contains("0755"), "{told:?}");
        assert_eq!(sentences(&readable, None, &other_user, &[]), Vec::<String>::new());
        assert_eq!(sentences(&format!("{writable}:z"), None, &other_user, &[]).len(), 1);
        assert_eq!(sentences(&writable, Some(&owner.to_string()), &other_user, &[]), Vec::<String>::new());
        assert_eq!(
            sentences(&writable, None, "node", &[]),
            Vec::<String>::new(),
            "only the image knows the name"
        );
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        assert!(sentences(&readable, None, &other_user, &[])[0].contains("cannot be read"));
    }

    #[test]
    fn root_without_its_capabilities_is_a_user_like_another() {
        let root = User::named("root").unwrap();
        assert_eq!(root, User { uid: 0, gid: 0 });
        assert_eq!(root.outside(1000), Some(User { uid: 1000, gid: 1000 }));
        assert_eq!(User::named("7:8").unwrap().outside(1000), None);
        let metadata = std::fs::metadata("/proc/self/status").unwrap();
        assert_eq!(root.lacks(&metadata, true), None);
    }

    #[test]
    fn the_socket_of_an_engine_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        let told = sentences(&format!("{}:/var/run/docker.sock", socket.display()), None, "", &[]);
        assert!(told[0].contains("socket of an engine"), "{told:?}");
    }

    #[test]
    fn an_engines_socket_is_known_whatever_it_is_called_and_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("api");
        let _listener = UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, Permissions::from_mode(0o660)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&socket, &link).unwrap();
        let told = |mounted: &Path, endpoint: &Path| {
            sentences_at(endpoint, &format!("{}:/mounted", mounted.display()), None, "4711", &[])
        };
        for (mounted, endpoint) in [(&socket, &socket), (&link, &socket), (&socket, &link)] {
            let told = told(mounted, endpoint);
            assert!(told.len() == 1 && told[0].contains("is the socket of an engine"), "{told:?}");
            assert!(!told[0].contains("--user"), "{told:?}");
        }
        let held = told(folder.path(), &link);
        assert!(held.len() == 1 && held[0].contains("holds the socket of an engine"), "{held:?}");
        assert!(!held[0].contains("--user"), "{held:?}");
        let other = told(&socket, Path::new("/nowhere"));
        assert!(!other.concat().contains("socket of an engine"), "{other:?}");
        for (name, is_engine) in [
            ("/run/docker.sock", true),
            ("/srv/my-docker-raw.sock", true),
            ("/srv/Podman-2.sock", true),
            ("/run/containerd/containerd.sock", true),
            ("/run/docker.pid", false),
            ("/run/docker/plugins/other.sock", false),
        ] {
            assert_eq!(has_engines_name(Path::new(name)), is_engine, "{name}");
        }
    }
}
