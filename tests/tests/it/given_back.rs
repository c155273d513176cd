//! A supervisor gives back the memory that large messages took.
use serde_json::json;
use wharf_tests::client::Client;
use wharf_tests::host::{Host, demo_server, eventually};

const CLIENTS: usize = 16;
const CALLS: usize = 8;
const BYTES: usize = 256 * 1024;

/// Heaps and stacks of a process, in KiB.
fn own_memory(pid: u64) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[test]
fn a_supervisor_gives_back_what_large_messages_took() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    let supervisor = host.record("demo")["process_id"].as_u64().unwrap();
    let before = own_memory(supervisor);
    let text = "x".repeat(BYTES);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Client::open(&url).unwrap();
                for _ in 0..CALLS {
                    assert_eq!(client.call_tool("echo", json!({ "message": text })).unwrap(), text);
                }
            });
        }
    });
    eventually("it is small again", || own_memory(supervisor) < before + 2 * 1024);
    host.ok(&["rm", "demo"]);
}
