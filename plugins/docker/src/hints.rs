//! Remedies for an engine that cannot be used, with a command to type where one is known. The runtime's health and its
//! errors use them. Must not know how they are shown.
use crate::{endpoint::endpoint_of, flavor::Flavor};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// The file with the names of groups.
const GROUPS: &str = "/etc/group";
/// The mode bit for a file that its group may write.
const GROUP_WRITES: u32 = 0o020;

/// The remedy for a socket that is missing, or on which nobody listens.
pub(crate) fn start(flavor: Flavor, socket: &Path) -> String {
    let is_usual = |folder: &str| socket.starts_with(folder);
    match flavor {
        Flavor::Docker if is_usual("/run/user") => "start Docker: systemctl --user start docker".to_owned(),
        Flavor::Docker if is_usual("/run") || is_usual("/var/run") => {
            format!("start Docker: {}systemctl start docker", sudo())
        }
        Flavor::Docker => "start the engine".to_owned(),
        Flavor::Podman if is_usual("/run/user") || is_usual("/run/podman") => serve_podman(),
        Flavor::Podman => {
            format!("let Podman serve it: podman system service --time=0 {}", endpoint_of(socket))
        }
    }
}

/// The remedy for an engine that was not found anywhere.
pub(crate) fn get(flavor: Flavor, is_installed: bool) -> String {
    let start = match flavor {
        Flavor::Docker => format!("start Docker: {}systemctl start docker", sudo()),
        Flavor::Podman => serve_podman(),
    };
    if is_installed { start } else { format!("install {}, then {start}", flavor.title()) }
}

/// The remedy for a socket that this user may not open.
pub(crate) fn share(flavor: Flavor, socket: &Path) -> String {
    let group = fs::metadata(socket).ok().filter(|about| about.mode() & GROUP_WRITES != 0);
    let group = group.and_then(|about| name_of(about.gid(), &fs::read_to_string(GROUPS).ok()?));
    match (flavor, group) {
        (Flavor::Docker, Some(group)) => format!(
            "join the group that owns it, whose members are as good as root: sudo usermod -aG {group} $USER, and log in \
             again, or run Docker as this user (rootless)"
        ),
        (Flavor::Docker, None) => "run Docker as this user (rootless), or ask who owns it".to_owned(),
        // Podman's usual socket belongs to root; each user can have one of their own.
        (Flavor::Podman, _) => serve_podman(),
    }
}

/// The remedy for Podman, which serves no socket by default.
fn serve_podman() -> String {
    let user = if is_root() { "" } else { "--user " };
    format!("let Podman serve its socket: systemctl {user}enable --now podman.socket")
}

fn sudo() -> &'static str {
    if is_root() { "" } else { "sudo " }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The name of a group, from the lines of `/etc/group`.
fn name_of(group: u32, lines: &str) -> Option<String> {
    let number = group.to_string();
    let line = lines.lines().find(|line| line.split(':').nth(2) == Some(&number))?;
    line.split(':').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_has_the_remedy_of_who_serves_it() {
        let told = |flavor, socket: &str| start(flavor, Path::new(socket));
        assert!(told(Flavor::Docker, "/var/run/docker.sock").ends_with("systemctl start docker"));
        assert_eq!(
            told(Flavor::Docker, "/run/user/7/docker.sock"),
            "start Docker: systemctl --user start docker"
        );
        assert_eq!(told(Flavor::Docker, "/elsewhere/docker.sock"), "start the engine");
        assert!(told(Flavor::Podman, "/run/user/7/podman/podman.sock").ends_with("podman.socket"));
        assert!(told(Flavor::Podman, "/elsewhere/p.sock").ends_with("--time=0 unix:///elsewhere/p.sock"));
        for flavor in [Flavor::Docker, Flavor::Podman] {
            assert!(get(flavor, false).starts_with("install ") && !get(flavor, true).contains("install"));
        }
    }

    #[test]
    fn a_group_is_known_by_its_number() {
        let lines = "root:x:0:\ndocker:x:998:ann,bob\n";
        assert_eq!(name_of(998, lines).as_deref(), Some("docker"));
        assert_eq!(name_of(98, lines), None);
    }
}
