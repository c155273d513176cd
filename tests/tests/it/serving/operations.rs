//! Operations: repeated, cancelled, cut off.
use super::rig::{Served, problem};
use serde_json::{Value, json};
use std::fs;
use wharf_tests::client::Response;
use wharf_tests::host::{Host, demo_server, eventually};

fn create_with_key(served: &Served, key: &str, body: &Value) -> Response {
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    served.ask("POST", "/api/v1beta/workloads", &headers, &body.to_string())
}

fn audit(host: &Host) -> Vec<Value> {
    let text = fs::read_to_string(host.path("state/api/audit.log")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_repeated_request_is_the_same_operation_also_after_a_kill() {
    let host = Host::new();
    let served = Served::start(&host);
    // Without a name each request would be another workload.
    let body = json!({ "server": demo_server() });
    let first = create_with_key(&served, "once", &body);
    let again = create_with_key(&served, "once", &body);
    assert_eq!((first.status, again.status), (201, 201), "{again:?}");
    assert_eq!((first.header("location"), &first.body), (again.header("location"), &again.body));
    let other = json!({ "server": demo_server(), "name": "other" });
    assert_eq!(problem(&create_with_key(&served, "once", &other), 422)["kind"], "key_reused");
    for wrong in ["", "two words", &"x".repeat(256)] {
        problem(&create_with_key(&served, wrong, &body), 400);
    }
    served.kill();
    let served = Served::start(&host);
    let later = create_with_key(&served, "once", &body);
    assert_eq!((later.status, &later.body), (201, &first.body));
    assert_eq!(host.list().len(), 1);
    let audit = audit(&host);
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!((&audit[0]["kind"], &audit[0]["outcome"]), (&json!("create"), &json!("done")));
    assert_eq!((&audit[0]["who"]["by"], audit[0]["who"]["pid"].is_u64()), (&json!("peer"), true));
}

/// A server that never becomes ready.
fn slow(host: &Host) -> Value {
    json!({ "name": "slow", "server": host.script("slow", "sleep 1000") })
}

#[test]
fn a_creation_that_is_cancelled_leaves_nothing() {
    let host = Host::new();
    let served = Served::start(&host);
    let under_way = served.post("/workloads?wait=false", &slow(&host));
    assert_eq!((under_way.status, under_way.body.as_str()), (202, ""));
    let place = under_way.header("location").unwrap().to_owned();
    eventually("it is on record", || host.row("slow").is_some());
    let operation = served.get(place.strip_prefix("/api/v1beta").unwrap());
    assert_eq!((&operation["state"], &operation["kind"]), (&json!("running"), &json!("create")));
    assert_eq!(served.ask("DELETE", &place, &[], "").status, 202);
    let ended = served.ended(&under_way);
    assert_eq!(ended["state"], "cancelled", "{ended}");
    assert_eq!(host.leftovers(), Vec::<String>::new());
    problem(&served.ask("DELETE", &place, &[], ""), 409);
    problem(&served.ask("DELETE", "/api/v1beta/operations/nobodys", &[], ""), 404);
}

#[test]
fn an_operation_under_way_at_a_kill_is_reported_as_interrupted_and_its_workload_can_be_removed() {
    let host = Host::new();
    let served = Served::start(&host);
    let under_way = served.post("/workloads?wait=false", &slow(&host));
    eventually("it is on record", || host.row("slow").is_some());
    served.kill();
    let served = Served::start(&host);
    let ended = served.ended(&under_way);
    assert_eq!((&ended["state"], &ended["error"]["kind"]), (&json!("interrupted"), &json!("deadline")));
    assert_eq!(audit(&host).last().unwrap()["outcome"], "interrupted");
    let removed = served.ask("DELETE", "/api/v1beta/workloads/slow?wait=true", &[], "");
    // Its supervisor may have given the creation up by then.
    assert!([200, 404].contains(&removed.status), "{removed:?}");
    eventually("nothing is left", || host.leftovers().is_empty());
}

#[test]
fn a_kill_at_any_point_of_a_record_loses_no_operation_and_makes_none_twice() {
    let host = Host::new();
    let body = json!({ "server": demo_server(), "name": "demo" });
    // The operation's own file is the first that is written: at each of these points it is there as a whole, or not.
    for point in ["create-file.before", "write-file.after", "sync-file.after", "link.before", "link.after"] {
        let mut command = host.command(&["serve"]);
        command.env("WHARF_FAILPOINT", format!("command/{point}=kill"));
        let served = Served::of(command, &host);
        let socket = host.path("state/api/wharf.sock");
        let headers = [
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Idempotency-Key".to_owned(), "once".to_owned()),
        ];
        let asked = wharf_tests::client::http_through(
            &socket,
            "POST",
            "/api/v1beta/workloads",
            &headers,
            &body.to_string(),
        );
        assert!(asked.is_err(), "{point}: it was killed meanwhile, and said {asked:?}");
        drop(served);
        let served = Served::start(&host);
        let operations = served.get("/operations");
        let known = operations["operations"].as_array().unwrap();
        assert!(known.iter().all(|operation| operation["state"] == "interrupted"), "{point}: {operations}");
        assert!(host.list().is_empty(), "{point}: nothing had begun");
        let names = fs::read_dir(host.path("state/api/operations")).unwrap();
        let names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        assert!(names.iter().all(|name| !name.starts_with('.')), "{point}: {names:?}");
        let again = create_with_key(&served, "once", &body);
        // It is the operation that was cut off, whose outcome nobody knows, or a new one.
        assert_eq!(again.status, if known.is_empty() { 201 } else { 504 }, "{point}: {again:?}");
        host.wharf(&["rm", "--all"]);
        drop(served);
        fs::remove_dir_all(host.path("state/api/operations")).unwrap();
    }
}

#[test]
fn the_answers_client_may_go_and_the_operation_goes_on() {
    let host = Host::new();
    let served = Served::start(&host);
    {
        use std::io::Write;
        let body = json!({ "name": "demo", "server": demo_server() }).to_string();
        let mut socket = std::os::unix::net::UnixStream::connect(host.path("state/api/wharf.sock")).unwrap();
        let head = format!(
            "POST /api/v1beta/workloads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(format!("{head}{body}").as_bytes()).unwrap();
        eventually("it has begun", || {
            !served.get("/operations")["operations"].as_array().unwrap().is_empty()
        });
    }
    eventually("it runs", || host.row("demo").is_some_and(|row| row["status"] == "running"));
    assert_eq!(served.stop(), Some(0));
    assert_eq!(host.row("demo").unwrap()["status"], "running", "workloads run on");
}

#[test]
fn a_start_that_another_request_stops_is_a_conflict() {
    let host = Host::new();
    let served = Served::start(&host);
    let body = json!({ "name": "slow", "server": host.script("slow", "sleep 1000") });
    let under_way = served.post("/workloads?wait=false", &body);
    eventually("it is on record", || host.row("slow").is_some());
    let stopped = served.ask("POST", "/api/v1beta/workloads/slow/stop?wait=true", &[], "");
    assert!([200, 404].contains(&stopped.status), "{stopped:?}");
    let ended = served.ended(&under_way);
    assert_eq!((&ended["state"], &ended["error"]["kind"]), (&json!("failed"), &json!("conflict")), "{ended}");
}

#[test]
fn a_group_without_workloads_is_there_and_one_that_nobody_made_is_not() {
    let host = Host::new();
    let served = Served::start(&host);
    for kind in ["start", "stop", "restart", "delete"] {
        let path = format!("/workloads/{kind}?wait=true");
        let done = served.post(&path, &json!({ "group": "default" }));
        let done: Value = serde_json::from_str(&done.body).unwrap();
        assert_eq!((&done["state"], &done["outcome"]), (&json!("done"), &json!([])), "{kind}: {done}");
        assert_eq!(problem(&served.post(&path, &json!({ "group": "nobody" })), 404)["kind"], "not_found");
    }
    assert_eq!(served.get("/workloads?group=default"), json!({ "workloads": [] }));
    problem(&served.ask("GET", "/api/v1beta/workloads?group=nobody", &[], ""), 404);
}

#[test]
fn what_is_asked_for_wrongly_is_refused_without_an_invitation_to_try_again() {
    let host = Host::new();
    let served = Served::start(&host);
    for body in [
        json!({ "server": demo_server(), "runtime": "nobodys" }),
        json!({ "server": "npx://x\0y" }),
        json!({ "server": "\0" }),
    ] {
        let refused = served.post("/workloads", &body);
        assert_eq!(problem(&refused, 400)["kind"], "usage", "{body}");
        assert_eq!(refused.header("retry-after"), None, "{body}");
    }
    assert_eq!(served.get("/operations"), json!({ "operations": [] }), "nothing was begun");
}

#[test]
fn a_list_takes_the_words_of_toolhives_clients() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    host.ok(&["stop", "demo"]);
    let served = Served::start(&host);
    for (query, rows) in [("all=true", 1), ("all=", 0), ("all=1", 0), ("all=false", 0), ("", 0)] {
        let list = served.get(&format!("/workloads?{query}"));
        assert_eq!(list["workloads"].as_array().unwrap().len(), rows, "{query}: {list}");
    }
}
