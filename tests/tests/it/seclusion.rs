//! No host of a test sees the programs and settings of the machine and its user, unless the test says so.
use std::fs;
use wharf_tests::host::{Host, has_tool};

/// Parts or ends of paths of an engine, its program, or its client's settings.
const OF_ENGINES: [&str; 6] =
    ["docker.sock", "podman.sock", "/dockerd", "/podman", "/.docker", "/containers/podman"];

#[test]
fn a_host_of_a_test_looks_for_engines_where_it_was_told_and_nowhere_else() {
    if !has_tool("strace", "strace") {
        return;
    }
    let host = Host::new();
    host.add_plugin("docker");
    let own = host.path("").display().to_string();
    for args in [&["doctor"][..], &["list", "--all"], &["reconcile"]] {
        let trace = host.path("strace");
        host.traced(&["--trace=%file,connect"], &trace, args).output().unwrap();
        let trace = fs::read_to_string(trace).unwrap();
        // Paths are the quoted words of a line.
        let paths = trace.lines().flat_map(|line| line.split('"').skip(1).step_by(2));
        let (ours, others): (Vec<_>, Vec<_>) = paths
            .filter(|path| OF_ENGINES.iter().any(|it| path.ends_with(it) || path.contains(&format!("{it}/"))))
            .partition(|path| path.starts_with(&own));
        assert!(others.is_empty(), "{args:?}: {others:?}");
        // Without a workload, only the doctor asks an engine.
        assert!(
            args != ["doctor"] || ours.iter().any(|path| path.ends_with("engines/docker.sock")),
            "{trace}"
        );
    }
}

#[test]
fn a_host_of_a_test_has_nothing_of_the_users_but_programs_and_certificates() {
    let host = Host::new();
    let own = host.path("");
    let command = host.command(&[]);
    let given = command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?)));
    let of_the_user = ["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "PATH"];
    let others = given.filter(|(name, value)| {
        let of_the_test = (*name, *value) == ("WHARF_LIST_TIMEOUT_MS", std::ffi::OsStr::new("20000"));
        let is_known = of_the_user.contains(name) || name.starts_with("npm_config_") || of_the_test;
        !is_known && !std::path::Path::new(value).starts_with(&own)
    });
    assert_eq!(others.collect::<Vec<_>>(), []);
}
