//! A container for each session of a workload.
use super::{containers, host, run};
use std::collections::BTreeSet;
use wharf_tests::client::Client;
use wharf_tests::engines::{Engine, Kind};
use wharf_tests::host::{eventually, runs};

fn each_session_has_a_container(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    let url = run(&host, kind, "many", &["--instances", "per-session"]);
    let uid = host.record("many")["uid"].as_str().unwrap().to_owned();
    let label = format!("label=wharf.parent={uid}");
    let of_sessions = || {
        let listed = engine.client(&["ps", "--all", "--filter", &label, "--format", "{{.Names}}"]);
        listed.lines().map(str::to_owned).collect::<BTreeSet<String>>()
    };
    assert_eq!((of_sessions().len(), containers(&engine).len()), (0, 1));
    let (mut one, mut other) = (Client::open(&url).unwrap(), Client::open(&url).unwrap());
    for client in [&mut one, &mut other] {
        let answer = client.call_tool("add", serde_json::json!({ "a": 2, "b": 3 })).unwrap();
        assert_eq!(answer, "5");
    }
    assert_eq!((of_sessions().len(), containers(&engine).len()), (2, 3));
    let row = host.row("many").unwrap();
    assert_eq!(row["session_servers"].as_array().unwrap().len(), 2, "{row}");
    assert_eq!(host.list().len(), 1, "none of them is an orphan");
    assert_eq!(one.leave().unwrap().status, 204);
    eventually("its container is gone", || of_sessions().len() == 1);
    // A supervisor that dies leaves the other one, which goes with the next command.
    let supervisor = i32::try_from(host.record("many")["process_id"].as_i64().unwrap()).unwrap();
    host.kill_own(supervisor);
    eventually("the supervisor is dead", || !runs(supervisor));
    host.ok(&["reconcile"]);
    assert_eq!((of_sessions().len(), containers(&engine).len()), (0, 1));
    Client::open(&url).unwrap();
    assert_eq!(containers(&engine).len(), 2);
    host.ok(&["rm", "many"]);
    assert_eq!(containers(&engine), Vec::<String>::new());
}

#[test]
fn each_session_has_a_container_of_docker_which_ends_with_it() {
    each_session_has_a_container(Kind::Docker);
}

#[test]
fn each_session_has_a_container_of_podman_which_ends_with_it() {
    each_session_has_a_container(Kind::Podman);
}
