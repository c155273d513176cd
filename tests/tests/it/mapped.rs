//! A command maps the libraries that it needs and no others, watched from outside.
use wharf_tests::host::{Host, demo_server, has_tool};

/// How many plugins a command maps, in whichever thread: files of the host's folder, or the sealed memory files that
/// stand for those which their user can write.
fn mapped(host: &Host, args: &[&str]) -> usize {
    let trace = host.path("trace");
    let output = host.traced(&["--trace=mmap"], &trace, args).output().unwrap();
    let text = std::fs::read_to_string(&trace).unwrap_or_default();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = |line: &str| Some(line.split('<').nth(1)?.split('>').next()?.to_owned());
    let mut files: Vec<String> = text.lines().filter_map(file).collect();
    files.retain(|file| file.contains("/plugins/") || file.contains("memfd:wharf-plugin"));
    files.sort();
    files.dedup();
    files.len()
}

#[test]
fn r10_a_command_loads_its_owners_library_alone() {
    if !has_tool("strace", "strace") {
        return;
    }
    let host = Host::new();
    host.add_test_plugin("alpha");
    host.add_test_plugin("beta");
    assert_eq!(mapped(&host, &["runtime", "list"]), 0);
    assert_eq!(mapped(&host, &["list"]), 0, "there is no workload whose owner could be asked");
    host.run(&["--name", "demo", &demo_server()]);
    assert_eq!(mapped(&host, &["list", "--all"]), 1);
    assert_eq!(mapped(&host, &["stop", "demo"]), 1);
    assert_eq!(mapped(&host, &["rm", "demo"]), 1);
    assert_eq!(
        mapped(&host, &["runtime", "check"]),
        3,
        "all are tried, so what was counted above means something"
    );
}
