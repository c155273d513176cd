//! A disk that takes its time: it holds up what is written to it, and nobody else.
use super::rig::Served;
use serde_json::json;
use std::fs::File;
use std::sync::mpsc;
use std::time::Duration;
use wharf_tests::client::http_through;
use wharf_tests::host::{Host, demo_server};

/// More than a small machine has processors: each worker of `serve` could wait for the disk.
const AT_ONCE: usize = 6;

#[test]
fn a_slow_disk_holds_up_the_requests_that_write_to_it_and_nobody_who_asks() {
    let host = Host::new();
    let disk = host.path("disk");
    let stalled = File::create(&disk).unwrap();
    stalled.lock().unwrap();
    let mut command = host.command(&["serve", "--no-reconcile"]);
    command.env("WHARF_FAILPOINT", format!("command/sync-file.before=wait:{}", disk.display()));
    let served = Served::of(command, &host);
    let socket = host.path("state/api/wharf.sock");
    let (answered, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        for at in 0..AT_ONCE {
            let (answered, socket) = (answered.clone(), &socket);
            scope.spawn(move || {
                let headers = [("Content-Type".to_owned(), "application/json".to_owned())];
                let body = json!({ "server": demo_server(), "name": format!("demo-{at}") }).to_string();
                let path = "/api/v1beta/workloads";
                answered.send(http_through(socket, "POST", path, &headers, &body).unwrap().status).unwrap();
            });
        }
        // Who asks while all of them wait is answered; the client gives up after its own time.
        for _ in 0..AT_ONCE {
            assert_eq!(served.ask("GET", "/health/live", &[], "").status, 204);
            assert_eq!(served.get("/operations"), json!({ "operations": [] }), "none has begun");
            assert_eq!(served.get("/workloads?all=true"), json!({ "workloads": [] }));
        }
        let early = answers.recv_timeout(Duration::from_millis(200));
        assert_eq!(
            early,
            Err(mpsc::RecvTimeoutError::Timeout),
            "an operation is answered once it is on record"
        );
        stalled.unlock().unwrap();
        for _ in 0..AT_ONCE {
            assert_eq!(answers.recv().unwrap(), 201);
        }
    });
    assert_eq!(served.get("/operations")["operations"].as_array().unwrap().len(), AT_ONCE);
}
