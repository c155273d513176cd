//! Demonstrations of the contract with real containers: the plugin is gone and comes back; records without owners.
use super::{add, alone, containers, host, is_running_and_fresh, run, stale_of_three};
use serde_json::{Value, json};
use std::process::Stdio;
use wharf_tests::engine::records;
use wharf_tests::engines::{Engine, Kind};
use wharf_tests::host::{Host, Said, demo_server};

const FIELDS: [&str; 3] = ["runtime_name", "runtime_instance", "runtime_endpoint"];

/// The RunConfig as an older version left it: without a runtime's name, or with this value for it.
fn strip(host: &Host, name: &str, nothing: Option<Value>) -> Value {
    let mut owned = host.run_config(name);
    owned["of_a_later_version"] = json!({ "kept": [1, 2] });
    let mut stripped = owned.clone();
    let fields = stripped.as_object_mut().unwrap();
    FIELDS.iter().for_each(|field| drop(fields.remove(*field)));
    fields.extend(nothing.map(|nothing| ("runtime_name".to_owned(), nothing)));
    host.write_run_config(name, &stripped);
    owned
}

/// The report of `reconcile` about a workload: the result and the reason.
fn reconciled(host: &Host, name: &str) -> (String, String) {
    let text = host.reconcile(&[name, "--format", "json"]);
    let reports: Vec<Value> = serde_json::from_str(&text).unwrap();
    let word = |key: &str| reports[0][key].as_str().unwrap_or_default().to_owned();
    (word("result"), word("reason"))
}

fn told_alone(host: &Host, args: &[&str]) -> Said {
    Said::of(&alone(host, args).output().unwrap())
}

/// The names whose rows are stale.
fn stale(host: &Host) -> Vec<String> {
    let said = told_alone(host, &["list", "--all", "--format", "json"]);
    stale_of_three(&serde_json::from_str::<Vec<Value>>(&said.stdout).unwrap())
}

#[test]
fn r04_a_plugin_that_is_gone_makes_the_rows_of_docker_and_podman_stale_and_changes_no_record() {
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let Some(podman) = Engine::start(Kind::Podman) else { return };
    let host = host(&[(Kind::Docker, docker.endpoint()), (Kind::Podman, podman.endpoint())]);
    let urls = [Kind::Docker, Kind::Podman].map(|kind| run(&host, kind, kind.runtime(), &[]));
    host.run(&["--name", "plain", &demo_server()]);
    let before = records(&host);
    let file = wharf_tests::library("wharf-plugin-docker").file_name().unwrap().to_owned();
    let library = host.path("plugins").join(file);
    let aside = host.path("aside.so");
    std::fs::rename(&library, &aside).unwrap();
    assert_eq!(stale(&host), ["docker", "podman"]);
    for (name, command) in [("docker", "stop"), ("docker", "rm"), ("podman", "restart"), ("podman", "rm")] {
        let said = told_alone(&host, &[command, name]);
        assert!(said.code == 5 && said.stderr.contains(name), "{command}: {said:?}");
    }
    assert_eq!(told_alone(&host, &["reconcile"]).code, 5, "owners could not be asked");
    assert_eq!(records(&host), before);
    assert!(urls.iter().all(|url| add(url) == "5"), "their supervisors go on");
    std::fs::rename(&aside, &library).unwrap();
    assert_eq!(stale(&host), Vec::<String>::new());
    assert_eq!(records(&host), before);
    host.ok(&["rm", "--all"]);
    assert_eq!((containers(&docker), containers(&podman)), (vec![], vec![]));
}

/// Every shape of nothing, one claimant; then adoption among commands that race it.
#[test]
fn r07_what_docker_or_podman_alone_shows_is_adopted_and_nothing_else_in_its_file_changes() {
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let Some(podman) = Engine::start(Kind::Podman) else { return };
    let host = host(&[(Kind::Docker, docker.endpoint()), (Kind::Podman, podman.endpoint())]);
    for kind in [Kind::Docker, Kind::Podman] {
        run(&host, kind, kind.runtime(), &[]);
    }
    let shapes = [None, Some(json!("")), Some(json!("  ")), Some(json!(7)), Some(Value::Null)];
    for nothing in shapes {
        let owned = ["docker", "podman"].map(|name| (name, strip(&host, name, nothing.clone())));
        let before = records(&host);
        assert!(host.list().iter().all(|row| row["status"] == "unknown"), "{nothing:?}");
        assert_eq!(records(&host), before, "a list only says so");
        host.ok(&["reconcile"]);
        for (name, owned) in owned {
            assert_eq!(host.run_config(name), owned, "{nothing:?}");
            assert!(is_running_and_fresh(&host, name), "{nothing:?}: {:?}", host.row(name));
        }
    }
    let owned = strip(&host, "docker", None);
    let racing = [["reconcile", "docker"], ["adopt", "docker"], ["stop", "docker"], ["adopt", "docker"]]
        .map(|args| host.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let said = racing.map(|child| child.wait_with_output().unwrap());
    assert_eq!(host.run_config("docker"), owned, "{said:?}");
    assert!(["running", "stopped"].iter().any(|status| host.row("docker").unwrap()["status"] == *status));
    host.ok(&["rm", "--all"]);
    assert_eq!((containers(&docker), containers(&podman)), (vec![], vec![]));
}

#[test]
fn r07_no_owner_is_recorded_with_two_claimants_or_none_or_while_the_true_owner_is_down() {
    let Some(mut docker) = Engine::start(Kind::Docker) else { return };
    let Some(podman) = Engine::start(Kind::Podman) else { return };
    let host = host(&[(Kind::Docker, docker.endpoint()), (Kind::Podman, podman.endpoint())]);
    run(&host, Kind::Docker, "lost", &[]);
    let owned = strip(&host, "lost", None);
    let uid = owned["uid"].as_str().unwrap();
    // Podman has something that carries the same labels.
    let labels = [format!("wharf.host-id={}", host.id()), format!("wharf.uid={uid}")];
    let image = wharf_tests::engines::DEMO_IMAGE;
    let claim = [
        "run",
        "--detach",
        "--interactive",
        "--name",
        "claimant",
        "--label",
        &labels[0],
        "--label",
        &labels[1],
    ];
    podman.client(&[&claim[..], &[image]].concat());
    let before = records(&host);
    let (result, reason) = reconciled(&host, "lost");
    assert!(result == "ambiguous" && reason.contains("'docker'") && reason.contains("'podman'"), "{reason}");
    assert_eq!(host.wharf(&["adopt", "lost"]).code, 4);
    docker.stop();
    let (result, reason) = reconciled(&host, "lost");
    assert!(result == "owner_unknown" && reason.contains("'docker'"), "{result}: {reason}");
    assert_eq!(host.wharf(&["adopt", "lost"]).code, 5);
    assert_eq!(records(&host), before);
    docker.resume();
    podman.client(&["rm", "--force", "claimant"]);
    wharf_tests::host::eventually("its true owner shows it again", || {
        reconciled(&host, "lost").0 != "owner_unknown" && host.run_config("lost") == owned
    });
    // No claimant: the recorded container is in no engine any more.
    host.ok(&["rm", "lost"]);
    host.write_run_config("lost", &owned);
    strip(&host, "lost", None);
    let (result, reason) = reconciled(&host, "lost");
    assert!(
        result == "owner_unknown" && reason.contains("no runtime has anything of it"),
        "{result}: {reason}"
    );
    host.ok(&["rm", "--forget", "lost"]);
    assert_eq!((containers(&docker), containers(&podman)), (vec![], vec![]));
}
