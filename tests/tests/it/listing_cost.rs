//! The system calls of one listing for each workload, counted from outside.
use std::fs;
use wharf_tests::copy_workload;
use wharf_tests::host::{Host, demo_server, has_tool};

/// The system calls of one `list --all` in which any of these words stands.
fn calls(host: &Host, words: &[&str]) -> Vec<String> {
    let trace = host.path("trace");
    let options = ["--trace=openat,read,fcntl"];
    let output = host.traced(&options, &trace, &["list", "--all"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&trace).unwrap();
    // The C library's allocator reads this once, when two threads want memory at the same moment.
    let of_allocator = |line: &str| line.contains("/sys/devices/system/cpu/online");
    let wanted = |line: &&str| words.iter().any(|word| line.contains(word)) && !of_allocator(line);
    text.lines().filter(wanted).map(str::to_owned).collect()
}

#[test]
fn r10_a_listing_opens_and_reads_each_record_once() {
    if !has_tool("strace", "strace") {
        return;
    }
    let host = Host::new();
    host.add_test_plugin("alpha");
    host.add_test_plugin("beta");
    host.run(&["--name", "demo", &demo_server()]);
    host.ok(&["stop", "demo"]);
    let on_records = ["state/runconfigs", "state/statuses"];
    let count = || {
        ["openat(", "read("].map(|call| {
            let all = calls(&host, &[call]);
            (
                all.iter().filter(|line| on_records.iter().any(|folder| line.contains(folder))).count(),
                all.len(),
            )
        })
    };
    copy_workload(&host, "demo", 0..50, &["process", "alpha", "beta"]);
    // The first listing tries and copies the loaded libraries, which is not counted.
    host.ok(&["list", "--all"]);
    let few = count();
    copy_workload(&host, "demo", 50..150, &["process", "alpha", "beta"]);
    let many = count();
    assert_eq!(host.list().len(), 151);
    let [opens, reads] = [0, 1].map(|call| (many[call].0 - few[call].0, many[call].1 - few[call].1));
    assert_eq!(opens, (200, 200), "100 workloads have two records each, and nothing else is opened for them");
    assert_eq!(reads.0, 200);
    wharf_tests::remove_copies(&host);
}

#[test]
fn r10_a_listing_asks_about_locks_only_where_they_matter() {
    if !has_tool("strace", "strace") {
        return;
    }
    let host = Host::new();
    let locks = || calls(&host, &["F_OFD_GETLK"]).len();
    host.run(&["--name", "demo", &demo_server()]);
    let running = locks();
    host.ok(&["stop", "demo"]);
    assert_eq!(running - locks(), 1, "its life lock");
}

#[test]
fn r10_a_listing_reads_the_secrets_of_what_clients_reach_and_no_others() {
    if !has_tool("strace", "strace") {
        return;
    }
    let host = Host::new();
    let opened = || {
        let all = calls(&host, &["openat("]);
        all.iter().filter(|line| line.contains("proxy-secrets")).count()
    };
    host.run(&["--name", "one", &demo_server()]);
    host.run(&["--name", "two", &demo_server()]);
    host.run(&["--name", "open", "--auth", "none", &demo_server()]);
    assert_eq!(opened(), 2, "a file for each URL with a secret");
    host.ok(&["stop", "one"]);
    assert_eq!(opened(), 1);
    host.ok(&["stop", "two"]);
    assert_eq!(opened(), 0);
}
