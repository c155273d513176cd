//! Periodic reconciliation.
use super::rig::Served;
use serde_json::json;
use wharf_tests::client::Client;
use wharf_tests::host::{Host, demo_server, eventually, kill};

fn supervisor(host: &Host, name: &str) -> i32 {
    i32::try_from(host.record(name)["process_id"].as_i64().unwrap()).unwrap()
}

#[test]
fn r06_what_should_run_is_brought_back_and_what_was_stopped_stays() {
    let host = Host::new();
    let url = host.run(&["--name", "wanted", &demo_server()]);
    host.run(&["--name", "unwanted", &demo_server()]);
    host.ok(&["stop", "unwanted"]);
    let served = Served::of(host.command(&["serve", "--reconcile-every", "0.5"]), &host);
    // Twice: it goes on.
    for _ in 0..2 {
        let before = supervisor(&host, "wanted");
        kill(before, "KILL");
        eventually("another supervisor serves it", || {
            host.row("wanted").is_some_and(|row| row["status"] == "running")
                && supervisor(&host, "wanted") != before
        });
        assert!(Client::open(&url).unwrap().call_tool("whoami", json!({})).is_ok());
    }
    assert_eq!(host.row("unwanted").unwrap()["status"], "stopped");
    let metrics = served.ask("GET", "/metrics", &[], "").body;
    assert!(
        metrics.contains("wharf_reconciliations_total{runtime=\"process\",result=\"started\"}"),
        "{metrics}"
    );
    assert_eq!(served.stop(), Some(0));
}
