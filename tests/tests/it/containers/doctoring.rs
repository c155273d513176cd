//! What `doctor` says of engines that cannot be used, and what to do about it.
use serde_json::{Value, json};
use std::os::unix::{fs::PermissionsExt, net::UnixListener};
use wharf_tests::host::Host;

/// What `doctor` finds out about a runtime, in words, and its remedy.
fn told(host: &Host, runtime: &str) -> (String, String) {
    let diagnosis: Value = serde_json::from_str(&host.wharf(&["doctor", "--format", "json"]).stdout).unwrap();
    let checks = diagnosis["checks"].as_array().unwrap().iter();
    let mut of = checks.filter(|check| check["message"].as_str().unwrap().starts_with(runtime));
    let check = of.next().expect("it was looked at");
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    (text("message"), text("remedy"))
}

#[test]
fn the_remedy_is_the_one_for_what_is_wrong() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::of_user(65534);
    host.add_plugin("docker");
    let (missing, forbidden) = (host.path("missing.sock"), host.path("forbidden.sock"));
    let endpoint = |socket: &std::path::Path| json!({ "endpoint": format!("unix://{}", socket.display()) });
    host.configure(&json!({
        "runtimes": { "docker": endpoint(&missing), "podman": endpoint(&forbidden) },
    }));
    host.own();
    let _listener = UnixListener::bind(&forbidden).unwrap();
    std::fs::set_permissions(&forbidden, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (why, remedy) = told(&host, "docker");
    assert!(why.contains("there is no socket") && remedy == "start the engine", "{why}: {remedy}");
    let (why, remedy) = told(&host, "podman");
    assert!(why.contains("may not use") && remedy.starts_with("join the group"), "{why}: {remedy}");
}
