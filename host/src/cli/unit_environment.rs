//! The variables that a unit of systemd keeps from the environment of the command that writes it: those that change what
//! wharf does. Called by `serve --install-unit`.
use wharf_failpoint::{KILL_VARIABLE, TRACE_VARIABLE};
use wharf_sdk::launch::{HOST_VARIABLE, UID_VARIABLE};

/// These, and all that begin with `WHARF_`.
const KEPT: [&str; 13] = [
    "DOCKER_HOST",
    "CONTAINER_HOST",
    "KUBECONFIG",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// The options of the command in the unit say the same; or it is for one command alone.
const SAID: [&str; 9] = [
    "WHARF_STATE_DIR",
    "WHARF_CONFIG_DIR",
    "WHARF_DATA_DIR",
    "WHARF_CACHE_DIR",
    "WHARF_PLUGIN_PATH",
    KILL_VARIABLE,
    TRACE_VARIABLE,
    // The marks of a workload: a unit is none.
    UID_VARIABLE,
    HOST_VARIABLE,
];

/// What becomes of the environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct UnitEnvironment {
    /// Variables with their values, by name.
    pub(super) kept: Vec<(String, String)>,
    /// Variables that would change something and are not kept, each with the reason.
    pub(super) left_out: Vec<(String, &'static str)>,
}

impl UnitEnvironment {
    /// Of these variables.
    pub(super) fn of(variables: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>) -> Self {
        let mut all = Self::default();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| is_kept(name)) else { continue };
            let name = name.to_owned();
            match value.to_str() {
                None => all.left_out.push((name, "it is no text")),
                Some("") => {}
                Some(value) if value.chars().any(char::is_control) => {
                    all.left_out.push((name, "a unit of systemd cannot hold it"));
                }
                // The unit can be read by everybody.
                Some(value) if has_secret(value) => all.left_out.push((name, "its URL holds a secret")),
                Some(value) => all.kept.push((name, value.to_owned())),
            }
        }
        all.kept.sort();
        all.left_out.sort();
        all
    }
}

fn is_kept(name: &str) -> bool {
    KEPT.contains(&name) || (name.starts_with("WHARF_") && !SAID.contains(&name))
}

/// Whether a value is a URL with a user or a password in it. A proxy may be written without a scheme.
fn has_secret(value: &str) -> bool {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_keeps_what_changes_what_wharf_does_and_no_secret() {
        let environment = [
            ("HOME", "/home/u"),
            ("DOCKER_HOST", "unix:///run/d.sock"),
            ("KUBECONFIG", "/home/u/.kube/config"),
            ("WHARF_RUNTIME", "podman"),
            ("WHARF_STATE_DIR", "/said/by/an/option"),
            ("WHARF_FAILPOINT", "x=kill"),
            ("HTTPS_PROXY", "http://me:secret@proxy:3128"),
            ("http_proxy", "me@proxy:3128"),
            ("HTTP_PROXY", "proxy:3128"),
            ("NO_PROXY", "localhost,.example.com"),
            ("no_proxy", ""),
            ("SSL_CERT_DIR", "/a\n/b"),
        ];
        let all =
            UnitEnvironment::of(environment.into_iter().map(|(name, value)| (name.into(), value.into())));
        let kept: Vec<(&str, &str)> =
            all.kept.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            kept,
            [
                ("DOCKER_HOST", "unix:///run/d.sock"),
                ("HTTP_PROXY", "proxy:3128"),
                ("KUBECONFIG", "/home/u/.kube/config"),
                ("NO_PROXY", "localhost,.example.com"),
                ("WHARF_RUNTIME", "podman"),
            ]
        );
        let left: Vec<(&str, &str)> = all.left_out.iter().map(|(name, why)| (name.as_str(), *why)).collect();
        let secret = "its URL holds a secret";
        let broken = "a unit of systemd cannot hold it";
        assert_eq!(left, [("HTTPS_PROXY", secret), ("SSL_CERT_DIR", broken), ("http_proxy", secret)]);
    }
}
