//! The reported confinement, compared with a workload's real one.
use super::hosts;
use std::{collections::BTreeSet, fs, io::Write};
use wharf_tests::host::demo_server;

/// The parts of a confinement by whether they hold.
fn parts(confinement: &serde_json::Value, list: &str) -> BTreeSet<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let all = confinement[list].as_array().cloned().unwrap_or_default();
    all.iter().map(|part| (text(&part["what"]), text(&part["how"]))).collect()
}

#[test]
fn the_check_says_what_a_workload_gets_that_asks_for_everything() {
    let bare = hosts().into_iter().map(wharf_tests::host::Host::without_namespaces);
    for host in hosts().into_iter().chain(bare) {
        let said: serde_json::Value =
            serde_json::from_str(&host.ok(&["runtime", "check", "process", "--format", "json"])).unwrap();
        let profile = host.path("profile.json").display().to_string();
        let text = r#"{"network":{"outbound":{"allow_port":[443]}}}"#;
        fs::File::create(&profile).unwrap().write_all(text.as_bytes()).unwrap();
        let limits = ["--cpus", "1", "--memory", "256m", "--pids-limit", "1024"];
        let profile = ["run", "--name", "demo", "--permission-profile", &profile, "--allow-weaker"];
        host.ok(&[&profile[..], &limits, &[&demo_server()]].concat());
        let status: serde_json::Value =
            serde_json::from_str(&host.ok(&["status", "demo", "--format", "json"])).unwrap();
        for list in ["enforced", "weaker"] {
            let (checked, got) = (parts(&said[0]["confinement"], list), parts(&status["confinement"], list));
            assert_eq!(checked, got, "{list}");
        }
    }
}
