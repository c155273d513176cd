//! What engines are asked, and what it costs them.
use super::{host, run};
use wharf_tests::engines::{Engine, Kind};
use wharf_tests::host::eventually;
use wharf_tests::tap::Tap;

fn one_list(kind: Kind, info: &str) {
    let Some(engine) = Engine::start(kind) else { return };
    let tap = Tap::before(&engine.socket());
    let host = host(&[(kind, format!("unix://{}", tap.socket().display()))]);
    run(&host, kind, "one", &[]);
    run(&host, kind, "two", &[]);
    // Supervisors ask nothing more once each waits for its container's end.
    let mut waiting = 0;
    eventually("both are watched", || {
        waiting += tap.requests().iter().filter(|request| request.contains("/wait")).count();
        waiting == 2
    });
    assert_eq!(host.list().len(), 2);
    let path = |request: String| request.split('?').next().unwrap_or_default().to_owned();
    let asked: Vec<String> = tap.requests().into_iter().map(path).collect();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked[0] == "GET /_ping" && asked[1].ends_with(info), "{asked:?}");
    assert_eq!(asked[2..], ["GET /containers/json", "GET /images/json"]);
    host.ok(&["rm", "--all"]);
}

#[test]
fn r10_one_list_makes_4_requests_to_docker() {
    one_list(Kind::Docker, "/info");
}

#[test]
fn r10_one_list_makes_4_requests_to_podman() {
    one_list(Kind::Podman, "/libpod/info");
}
