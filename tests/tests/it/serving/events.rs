//! Events and metrics.
use super::rig::Served;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use wharf_tests::host::{Host, demo_server};

/// A stream of events.
struct Events(BufReader<UnixStream>);

#[derive(Debug, Default)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Events {
    fn open(host: &Host, path: &str, last_id: Option<&str>) -> Self {
        let mut socket = UnixStream::connect(host.path("state/api/wharf.sock")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let last = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        socket
            .write_all(format!("GET /api/v1beta{path} HTTP/1.1\r\nHost: x\r\n{last}\r\n").as_bytes())
            .unwrap();
        Self(BufReader::new(socket))
    }

    /// The next event; lines of the chunked coding around it are none of it.
    fn next(&mut self) -> Event {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            let line = line.trim_end();
            if let Some((field, value)) = line.split_once(": ") {
                match field {
                    "event" => event.name = value.to_owned(),
                    "id" => event.id = value.to_owned(),
                    "data" => event.data = serde_json::from_str(value).unwrap(),
                    _ => {}
                }
            }
            if line.is_empty() && !event.name.is_empty() && !event.data.is_null() {
                return event;
            }
        }
    }

    /// Events up to one that shows a workload like this; the last one is it.
    fn until(&mut self, name: &str, status: &str) -> Vec<Event> {
        let mut seen = Vec::new();
        loop {
            let event = self.next();
            let workload = &event.data["workload"];
            let is_it = workload["name"] == name && workload["status"] == status;
            seen.push(event);
            if is_it {
                return seen;
            }
        }
    }
}

#[test]
fn events_tell_what_anybody_changes_and_go_on_where_a_client_was() {
    let host = Host::new();
    let served = Served::start(&host);
    host.run(&["--name", "old", &demo_server()]);
    let mut events = Events::open(&host, "/events", None);
    let reset = events.next();
    assert_eq!(reset.name, "reset");
    assert_eq!(reset.data["workloads"][0]["name"], "old");
    // By the command line.
    host.run(&["--name", "new", &demo_server()]);
    let seen = events.until("new", "running");
    let created = seen.iter().find(|event| event.name == "created").unwrap();
    assert_eq!(created.data["workload"]["name"], "new", "{seen:?}");
    let last = seen.last().unwrap().id.clone();
    drop(events);
    // While nobody listens, by both.
    host.ok(&["stop", "old"]);
    assert_eq!(served.ask("DELETE", "/api/v1beta/workloads/new?wait=true", &[], "").status, 200);
    let mut events = Events::open(&host, "/events", Some(&last));
    let mut missed = Vec::new();
    while missed.last().is_none_or(|event: &Event| event.name != "removed") {
        missed.push(events.next());
    }
    assert!(missed.iter().all(|event| event.name != "reset"), "nothing was missed: {missed:?}");
    assert_eq!(missed.last().unwrap().data["workload"]["name"], "new");
    let stopped = |event: &Event| event.data["workload"]["status"] == "stopped";
    assert!(missed.iter().any(stopped), "{missed:?}");
    let mut of_old = Events::open(&host, "/workloads/old/events", Some("nonsense"));
    let reset = of_old.next();
    let names: Vec<&Value> =
        reset.data["workloads"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!((reset.name.as_str(), names), ("reset", vec![&json!("old")]));
    host.ok(&["start", "old"]);
    of_old.until("old", "running");
    // Another process has other events: what it has not seen is no gap without a word.
    served.kill();
    let served = Served::start(&host);
    assert_eq!(Events::open(&host, "/events", Some(&reset.id)).next().name, "reset");
    assert_eq!(served.stop(), Some(0), "streams do not hold it up");
}

#[test]
fn metrics_count_workloads_operations_and_requests() {
    let host = Host::new();
    let served = Served::start(&host);
    assert_eq!(served.post("/workloads", &json!({ "name": "demo", "server": demo_server() })).status, 201);
    served.get("/workloads/demo/status");
    let metrics = served.ask("GET", "/metrics", &[], "");
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    for line in [
        "wharf_workloads{runtime=\"process\",state=\"running\",stale=\"false\"} 1",
        "wharf_operations_total{kind=\"create\",outcome=\"done\"} 1",
        "wharf_http_requests_total{method=\"POST\",route=\"/api/v1beta/workloads\",status=\"201\"} 1",
        "wharf_http_requests_total{method=\"GET\",route=\"/api/v1beta/workloads/{name}/status\",status=\"200\"} 1",
    ] {
        assert!(metrics.body.lines().any(|found| found == line), "{line} is not in:\n{}", metrics.body);
    }
}
