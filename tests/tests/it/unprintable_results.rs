//! Commands that did their work and cannot print the result: the error names the work.
use std::fs::OpenOptions;
use wharf_tests::host::{Host, Said, demo_server};

/// A command whose output leads to a full disk.
fn into_full_disk(host: &Host, args: &[&str]) -> Said {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let said =
        Said::of(&host.command(args).stdout(full).stderr(std::process::Stdio::piped()).output().unwrap());
    assert_eq!(said.code, 1, "{args:?}: {said:?}");
    assert!(said.stderr.contains("the output cannot be written: No space left"), "{args:?}: {said:?}");
    said
}

#[test]
fn a_command_whose_output_cannot_be_written_reports_what_it_did() {
    let host = Host::new();
    let said = into_full_disk(&host, &["run", "--name", "demo", &demo_server()]);
    assert!(said.stderr.contains("'demo' runs; its URL: wharf url demo"), "{said:?}");
    let before = host.ok(&["url", "demo"]);
    let said = into_full_disk(&host, &["url", "demo"]);
    assert!(!said.stderr.contains("was done"), "nothing was: {said:?}");
    let said = into_full_disk(&host, &["url", "demo", "--rotate"]);
    assert!(said.stderr.contains("the access to 'demo' was changed"), "{said:?}");
    assert_ne!(host.ok(&["url", "demo"]), before);
    let mut config = host.run_config("demo");
    config.as_object_mut().unwrap().remove("runtime_name");
    host.write_run_config("demo", &config);
    let said = into_full_disk(&host, &["adopt", "demo"]);
    assert!(said.stderr.contains("demo: belongs to"), "{said:?}");
    for (args, done) in [
        (&["reconcile", "demo"][..], "demo: in order"),
        (&["stop", "demo"], "demo: stopped"),
        (&["start", "demo"], "demo: started"),
        (&["restart", "demo", "--format", "json"], "demo: restarted"),
        (&["rm", "demo"], "demo: removed"),
    ] {
        let said = into_full_disk(&host, args);
        assert!(said.stderr.contains(done), "{args:?}: {said:?}");
    }
    assert!(host.row("demo").is_none());
    let said = into_full_disk(&host, &["run", "--no-wait", "--name", "later", &demo_server()]);
    assert!(said.stderr.contains("'later' is being started"), "{said:?}");
    host.ok(&["rm", "later"]);
    host.assert_nothing_runs();
}
