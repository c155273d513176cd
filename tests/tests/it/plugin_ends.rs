//! Libraries whose constructors end or block the process that loads them: tried in a process of their own first.
use crate::plugin_refusals::{fitting, stamped};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use wharf_tests::compile;
use wharf_tests::host::{Host, Said};

/// Puts a library there whose constructor does this, having written a line to the file `loads` beside it.
fn add_hostile(host: &Host, does: &str) -> PathBuf {
    let path = host.path("plugins").join("hostile.so");
    let loads = host.path("loads");
    let source = format!(
        r#"
        unsafe extern "C" {{
            fn _exit(code: i32) -> !;
            fn quick_exit(code: i32) -> !;
            fn syscall(number: i64, ...) -> i64;
        }}
        fn overflow(depth: u64) -> u64 {{
            let room = std::hint::black_box([depth; 1024]);
            overflow(depth + 1) + room[0]
        }}
        fn loads() -> usize {{
            std::fs::read_to_string({loads:?}).unwrap_or_default().lines().count()
        }}
        extern "C" fn constructor() {{
            use std::io::Write;
            let mut file = std::fs::File::options().append(true).create(true).open({loads:?}).unwrap();
            file.write_all(b"loaded\n").unwrap();
            {does}
        }}
        #[used]
        #[unsafe(link_section = ".init_array")]
        static CONSTRUCTOR: extern "C" fn() = constructor;
        #[used]
        static NEEDED: (unsafe extern "C" fn(i32) -> !, unsafe extern "C" fn(i32) -> !, fn(u64) -> u64,
            fn() -> usize, unsafe extern "C" fn(i64, ...) -> i64) = (_exit, quick_exit, overflow, loads, syscall);
        "#
    );
    compile(&path, &stamped(&fitting("hostile"), &source));
    path
}

/// The number of times that its constructor has run.
fn loads(host: &Host) -> usize {
    fs::read_to_string(host.path("loads")).unwrap_or_default().lines().count()
}

/// A workload whose owner is not known: every runtime is asked about it.
fn add_unowned(host: &Host) {
    fs::create_dir_all(host.path("state/runconfigs")).unwrap();
    let config = serde_json::json!({ "schema_version": "v0.1.0", "name": "old", "image": "x",
        "transport": "stdio", "port": 1 });
    host.write_run_config("old", &config);
}

/// Runs `runtime check`: the message and the remedy for the hostile library. The process runtime must be healthy.
fn checked(host: &Host) -> (Said, String, String) {
    let said = host.wharf(&["runtime", "check", "--format", "json"]);
    let rows: Vec<Value> =
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!(row("process")["state"], "healthy", "{said:?}");
    assert_eq!(row("hostile")["state"], "failed", "{said:?}");
    let text = |member: &str| row("hostile")[member].as_str().unwrap_or_default().to_owned();
    (said, text("message"), text("remedy"))
}

#[test]
fn a_library_that_ends_its_process_is_an_error_of_its_runtime_alone() {
    let cases = [
        ("std::process::exit(0)", "exited with code 6 (exit() ended wharf"),
        ("unsafe { _exit(0) }", "exited with code 6 (_exit() ended wharf"),
        ("unsafe { quick_exit(0) }", "exited with code 6 (exit() ended wharf"),
        // A system call made by hand, which nothing in the process sees.
        ("unsafe { syscall(231, 0i32); }", "exited with code 0"),
        ("std::process::abort()", "was ended by signal 6 (SIGABRT ended wharf"),
        ("unsafe { std::ptr::null_mut::<u8>().write_volatile(1) }", "was ended by signal"),
        ("overflow(1);", "was ended by signal"),
    ];
    for (does, how) in cases {
        if does.contains("231") && !cfg!(target_arch = "x86_64") {
            continue;
        }
        let host = Host::new();
        let library = add_hostile(&host, does);
        add_unowned(&host);
        let (said, message, remedy) = checked(&host);
        assert_eq!(said.code, 0, "{said:?}");
        let expected = format!("{} is not loaded, since the process that tried it {how}", library.display());
        assert!(message.starts_with(&expected), "{does}: {message}");
        assert_eq!(loads(&host), 1, "{does}: it ran in the child alone");
        assert_eq!(remedy, format!("to try it again: wharf runtime forget-verdict {}", library.display()));
        // Each of these ended in the middle, without a word and with code 0.
        let listed = host.wharf(&["list", "--all", "--format", "json"]);
        assert_eq!(
            (listed.code, serde_json::from_str::<Value>(&listed.stdout).is_ok()),
            (0, true),
            "{listed:?}"
        );
        let doctored = host.wharf(&["doctor"]);
        assert!(doctored.stdout.contains("ok       runtime        process is healthy"), "{doctored:?}");
        assert!(doctored.stdout.contains("hostile is failed"), "{doctored:?}");
        assert!(doctored.stdout.ends_with("workloads can be run\n"), "{doctored:?}");
        let reconciled = host.wharf(&["reconcile"]);
        assert!(reconciled.stdout.contains("old") || reconciled.stderr.contains("old"), "{reconciled:?}");
        assert_eq!(loads(&host), 1, "{does}: a refusal is kept");
    }
}

#[test]
fn a_verdict_can_be_forgotten() {
    let host = Host::new();
    let library = add_hostile(&host, "if loads() == 1 { std::process::exit(0) }");
    assert!(checked(&host).1.contains("exited with code 6"));
    assert!(checked(&host).1.contains("exited with code 6"));
    assert_eq!(loads(&host), 1);
    let library = library.display().to_string();
    assert_eq!(host.wharf(&["runtime", "forget-verdict", &library]).stderr, "1 verdict is forgotten\n");
    // The library does not exit any more, so the linker's error is reported.
    assert!(checked(&host).1.contains("lacks the entry symbol"));
    let forgotten = host.wharf(&["runtime", "forget-verdict", "--all"]);
    // The verdict on the process runtime.
    assert_eq!((forgotten.code, forgotten.stderr.as_str()), (0, "1 verdict is forgotten\n"));
    assert_eq!(host.wharf(&["runtime", "forget-verdict", "/nowhere.so"]).code, 2);
}

#[test]
fn what_ends_the_trial_from_outside_says_nothing_of_the_library() {
    // Signals that somebody outside could send to the child; and the code by which the child reports a trouble of its own.
    let ends = [("15", "signal 15"), ("9", "signal 9"), ("24", "signal 24")];
    let mut ends: Vec<_> = ends
        .map(|(signal, how)| (format!("unsafe {{ syscall(62, std::process::id(), {signal}i32); }}"), how))
        .into();
    ends.push(("unsafe { syscall(231, 125i32); }".to_owned(), "could not be set up"));
    for (does, how) in ends {
        let host = Host::new();
        add_hostile(&host, &format!("if loads() == 1 {{ {does} }}"));
        let message = checked(&host).1;
        assert!(message.contains(how), "{does}: {message}");
        assert!(!message.contains("forget-verdict"), "{does}: {message}");
        // It is tried again, and the linker's error is reported.
        let message = checked(&host).1;
        assert!(message.contains("lacks the entry symbol"), "{does}: {message}");
    }
}

#[test]
fn a_library_that_hangs_costs_its_own_runtime_alone_and_is_tried_again() {
    let host = Host::new();
    add_hostile(&host, "while loads() == 1 { std::thread::sleep(std::time::Duration::from_secs(1)) }");
    host.run(&["--name", "demo", "--runtime", "process", &wharf_tests::host::demo_server()]);
    add_unowned(&host);
    let row = host.row("demo").unwrap();
    assert_eq!((row["status"].as_str(), row.get("stale")), (Some("running"), None), "{row}");
    assert_eq!(loads(&host), 1);
    // It missed its deadline, which is no verdict.
    let message = checked(&host).1;
    assert!(message.contains("lacks the entry symbol"), "{message}");
    assert_eq!(loads(&host), 3, "in the child, and then here");
}

#[test]
fn a_hanging_library_is_blamed_itself_and_the_child_ends() {
    let host = Host::new();
    let library = add_hostile(&host, "loop { std::thread::sleep(std::time::Duration::from_secs(1)) }");
    let began = Instant::now();
    let (_, message, remedy) = checked(&host);
    let expected =
        format!("{} did not load within 10 s: this machine is busy, or the library hangs", library.display());
    assert_eq!(message, expected);
    assert!(remedy.contains("try again"), "{remedy}");
    assert!(began.elapsed() < Duration::from_secs(60));
    host.assert_nothing_runs();
}

#[test]
fn r05_where_no_verdict_can_be_kept_a_library_is_tried_each_time() {
    let host = Host::new();
    // Not even root can make a folder here.
    fs::File::create(host.path("cache")).unwrap();
    add_hostile(&host, "std::process::exit(0)");
    for time in 1..=2 {
        assert!(checked(&host).1.contains("exited with code 6"));
        assert_eq!(loads(&host), time);
    }
}

/// The file of the only verdict: another inode whenever it is written.
fn verdict(folder: &Path) -> u64 {
    let mut files = fs::read_dir(folder).unwrap();
    let file = files.next().unwrap().unwrap();
    assert!(files.next().is_none());
    file.metadata().unwrap().ino()
}

#[test]
fn a_library_that_was_seen_is_not_tried_again_until_it_changes() {
    let host = Host::new();
    let folder = host.path("cache/verdicts");
    host.ok(&["runtime", "check", "process"]);
    let first = verdict(&folder);
    host.ok(&["runtime", "check", "process"]);
    assert_eq!(verdict(&folder), first);
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    let library = host.path("plugins/libwharf_plugin_process.so");
    let mut file = fs::File::options().append(true).open(library).unwrap();
    std::io::Write::write_all(&mut file, b"another digest").unwrap();
    host.ok(&["runtime", "check", "process"]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[test]
fn a_library_that_comes_back_once_and_ends_the_host_later_is_no_success() {
    for does in ["std::process::exit(0)", "unsafe { _exit(0) }", "unsafe { quick_exit(0) }"] {
        let host = Host::new();
        // Well in the child, so that it is loaded in the host.
        add_hostile(&host, &format!("if loads() > 1 {{ {does} }}"));
        // Its own verdict: what cannot be loaded is not kept as a library that can.
        let said = host.wharf(&["runtime", "check", "--format", "json"]);
        assert_eq!(said.code, 6, "{does}: {said:?}");
        assert!(said.stderr.contains("exit() ended wharf before its result was said"), "{does}: {said:?}");
        assert!(said.stderr.contains("'load' (") && said.stderr.contains("hostile.so"), "{does}: {said:?}");
    }
}
