//! What was found by attacking the API: each by the way in which it was found.
use super::rig::{Served, problem};
use serde_json::{Value, json};
use std::fs;
use wharf_tests::client::Response;
use wharf_tests::host::{Host, demo_server, eventually, kill};

const BASE: &str = "/api/v1beta/workloads";

fn with_key(served: &Served, method: &str, path: &str, key: &str, body: &Value) -> Response {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let mut headers = vec![("Idempotency-Key", key)];
    if !body.is_null() {
        headers.push(("Content-Type", "application/json"));
    }
    served.ask(method, &format!("{BASE}{path}"), &headers, &text)
}

/// A server that needs this long to be ready.
fn slow(host: &Host, seconds: u32) -> String {
    host.script("slow", &format!("sleep {seconds}\nexec wharf-demo-server"))
}

fn status(host: &Host, name: &str) -> String {
    host.row(name).map_or("gone".to_owned(), |row| row["status"].as_str().unwrap().to_owned())
}

#[test]
fn a_repeated_request_is_the_same_operation_whatever_became_of_its_workloads() {
    let host = Host::new();
    let served = Served::start(&host);
    let run = |name: &str| {
        served.post("/workloads", &json!({ "name": name, "server": demo_server(), "group": "g" }))
    };
    assert_eq!(run("one").status, 201);
    let first = with_key(&served, "DELETE", "/one?wait=true", "k1", &Value::Null);
    let again = with_key(&served, "DELETE", "/one?wait=true", "k1", &Value::Null);
    assert_eq!((first.status, again.status, &first.body), (200, 200, &again.body));
    assert_eq!(run("two").status, 201);
    let group = json!({ "group": "g" });
    let first = with_key(&served, "POST", "/delete?wait=true", "k2", &group);
    let again = with_key(&served, "POST", "/delete?wait=true", "k2", &group);
    assert_eq!((first.status, again.status, &first.body), (200, 200, &again.body));
    // Others are in the group by now.
    assert_eq!(run("three").status, 201);
    let again = with_key(&served, "POST", "/delete?wait=true", "k2", &group);
    assert_eq!((again.status, &first.body), (200, &again.body));
    assert_eq!(status(&host, "three"), "running");
    problem(&with_key(&served, "DELETE", "/three", "k2", &Value::Null), 422);
}

#[test]
fn a_start_that_was_cancelled_is_not_made_by_reconciliation() {
    let host = Host::new();
    let served = Served::of(host.command(&["serve", "--reconcile-every", "0.2"]), &host);
    let server = host.script("server", "[ -e slow ] && sleep 1000\nexec wharf-demo-server");
    let work = host.work().display().to_string();
    let created =
        served.post("/workloads", &json!({ "name": "demo", "server": server, "working_dir": work }));
    assert_eq!(created.status, 201, "{created:?}");
    fs::File::create(host.work().join("slow")).unwrap();
    for how in ["start", "restart"] {
        if how == "start" {
            served.post("/workloads/demo/stop?wait=true", &json!({}));
        }
        let under_way = served.post(&format!("/workloads/demo/{how}"), &json!({}));
        eventually("it is starting", || host.record("demo")["status"] == "starting");
        let place = under_way.header("location").unwrap().to_owned();
        assert_eq!(served.ask("DELETE", &place, &[], "").status, 202);
        assert_eq!(served.ended(&under_way)["state"], "cancelled", "{how}");
        let record = host.record("demo");
        assert_eq!((&record["status"], &record["desired"]), (&json!("stopped"), &json!("stopped")), "{how}");
        // Nothing that reconciles has anything to do.
        let done: Value = serde_json::from_str(&host.ok(&["reconcile", "--format", "json"])).unwrap();
        assert_eq!(done[0]["result"], "in_order", "{how}: {done}");
        fs::remove_file(host.work().join("slow")).unwrap();
        served.post("/workloads/demo/start?wait=true", &json!({}));
        fs::File::create(host.work().join("slow")).unwrap();
    }
}

#[test]
fn a_creation_that_is_under_way_goes_on_when_what_serves_ends_or_is_killed() {
    for is_killed in [false, true] {
        let host = Host::new();
        let served = Served::start(&host);
        let request = json!({ "name": "demo", "server": slow(&host, 12) });
        served.post("/workloads?wait=false", &request);
        eventually("it is starting", || status(&host, "demo") == "starting");
        if is_killed {
            served.kill();
        } else {
            served.stop();
        }
        eventually("it runs", || status(&host, "demo") == "running");
    }
}

#[test]
fn an_image_is_no_command_of_this_machine() {
    let host = Host::new();
    let mcp = host.work().join("mcp");
    fs::create_dir(&mcp).unwrap();
    fs::copy(demo_server(), mcp.join("time")).unwrap();
    let served = Served::start(&host);
    for request in [
        json!({ "name": "one", "image": "mcp/time" }),
        json!({ "name": "one", "server": "mcp/time" }),
        json!({ "name": "one", "image": "wharf-demo-server" }),
        json!({ "name": "one", "image": "sh" }),
        json!({ "name": "one", "image": "mcp/time", "runtime": "process" }),
    ] {
        let refused = served.post("/workloads", &request);
        assert!(refused.status >= 400, "{request}: {refused:?}");
    }
    assert!(host.list().is_empty());
    let command = json!({ "name": "one", "server": "wharf-demo-server" });
    assert_eq!(served.post("/workloads", &command).status, 201);
}

#[test]
fn an_action_of_which_all_failed_is_no_success() {
    let host = Host::new();
    let served = Served::start(&host);
    let body = json!({ "names": ["no1", "no2"] });
    let answer: Value = serde_json::from_str(&served.post("/workloads/stop?wait=true", &body).body).unwrap();
    assert_eq!(
        (&answer["state"], &answer["error"]["kind"]),
        (&json!("failed"), &json!("not_found")),
        "{answer}"
    );
    assert_eq!(answer["outcome"].as_array().unwrap().len(), 2);
    let audit = fs::read_to_string(host.path("state/api/audit.log")).unwrap();
    assert!(audit.contains("\"outcome\":\"failed\",\"error\":\"not_found\""), "{audit}");
}

#[test]
fn no_secret_is_in_the_file_of_an_operation() {
    let host = Host::new();
    let served = Served::start(&host);
    let created = served.post("/workloads", &json!({ "name": "demo", "server": demo_server() }));
    let url = serde_json::from_str::<Value>(&created.body).unwrap()["url"].as_str().unwrap().to_owned();
    let failing = host.script("failing", "echo \"cannot log in with TOPSECRETVALUE\" >&2; exit 3");
    let failed = served.post("/workloads", &json!({ "name": "failing", "server": failing }));
    assert!(failed.body.contains("TOPSECRETVALUE"), "who asked is told: {failed:?}");
    let secret = url.rsplit('/').nth(1).unwrap();
    let files = fs::read_dir(host.path("state/api/operations")).unwrap();
    let texts: Vec<String> = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert_eq!(texts.len(), 2);
    for text in texts {
        assert!(!text.contains(secret) && !text.contains("TOPSECRETVALUE"), "{text}");
    }
    let audit = fs::read_to_string(host.path("state/api/audit.log")).unwrap();
    assert!(audit.contains(&failing) && !audit.contains("TOPSECRETVALUE"), "{audit}");
}

#[test]
fn requests_that_wait_are_answered_when_what_serves_ends() {
    let host = Host::new();
    let served = Served::start(&host);
    let request = json!({ "name": "demo", "server": slow(&host, 1000) });
    let under_way = served.post("/workloads?wait=false", &request);
    let place = under_way.header("location").unwrap().to_owned();
    eventually("it is starting", || status(&host, "demo") == "starting");
    let (answered, waiting) = std::thread::scope(|scope| {
        let poll = scope.spawn(|| served.ask("GET", &format!("{place}?wait=true"), &[], ""));
        let post = scope.spawn(|| served.post("/workloads/demo/restart?wait=true", &json!({})));
        eventually("both wait", || served.get("/operations")["operations"].as_array().unwrap().len() == 2);
        kill(served.pid(), "TERM");
        (poll.join().unwrap(), post.join().unwrap())
    });
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(serde_json::from_str::<Value>(&answered.body).unwrap()["state"], "running");
    assert_eq!((waiting.status, waiting.header("location").is_some()), (202, true), "{waiting:?}");
    drop(served);
    host.wharf(&["rm", "demo"]);
}

#[test]
fn one_workload_cannot_take_all_places_and_can_still_be_ended() {
    let host = Host::new();
    let served = Served::start(&host);
    let request = json!({ "name": "demo", "server": slow(&host, 1000) });
    served.post("/workloads?wait=false", &request);
    eventually("it is starting", || status(&host, "demo") == "starting");
    let asked: Vec<u16> =
        (0..12).map(|_| served.post("/workloads/demo/restart", &json!({})).status).collect();
    assert!(asked.contains(&202) && asked.last() == Some(&503), "{asked:?}");
    let other = served.post("/workloads", &json!({ "name": "other", "server": demo_server() }));
    assert_eq!(other.status, 201, "{other:?}");
    let removed = served.ask("DELETE", &format!("{BASE}/demo"), &[], "");
    assert_eq!(removed.status, 202, "{removed:?}");
}

#[test]
fn small_things_are_as_they_are_said() {
    let host = Host::new();
    let served = Served::start(&host);
    problem(&served.post("/workloads?timeout=3", &json!({ "server": demo_server() })), 400);
    problem(&served.post("/workloads/start?timeout=3", &json!({ "names": ["x"] })), 400);
    problem(&served.post("/workloads", &json!({ "server": "x\u{0}y" })), 400);
    problem(&served.post("/workloads", &json!({ "server": demo_server(), "group": "A b" })), 400);
    let of_nobody = json!({ "server": demo_server(), "runtime_options": { "surprise": "x" } });
    let error = problem(&served.post("/workloads", &of_nobody), 400);
    assert!(error["detail"].as_str().unwrap().contains("has no option 'surprise'"), "{error}");
    let none = problem(&served.ask("GET", "/api/v1beta/operations/nobodys", &[], ""), 404);
    assert_eq!(none["title"], "not found");
    host.configure(&json!({ "surprise": 1 }));
    problem(&served.ask("GET", "/health/ready", &[], ""), 503);
}
