use super::*;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use wharf_sdk::{Attach, ErrorCode, HealthState, PermissionProfile, Pin, StopOptions, WorkloadState};

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_exits_is_seen_with_its_code_and_is_not_started_twice() {
    let host = TestHost::new();
    let spec = host.script(Transport::Stdio, "exit 3");
    let (handle, _pipes) = host.run(&spec).await;
    let exit = within(host.runtime.wait(&handle)).await.unwrap();
    assert_eq!((exit.code, exit.signal, exit.reason.as_str()), (Some(3), None, ""));
    assert!(exit.at_ms.is_some());
    let observed = host.runtime.inspect(&handle).await.unwrap();
    assert_eq!((observed.state, observed.exit), (WorkloadState::Stopped, Some(exit)));
    let error = host.runtime.start(&handle).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::FailedPrecondition);
    assert!(error.message.contains("deploy"), "{error}");
    // Deploying it again is how it is started again.
    let handle = host.runtime.deploy(&spec).await.unwrap();
    host.runtime.start(&handle).await.unwrap();
    assert_eq!(within(host.runtime.wait(&handle)).await.unwrap().code, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_killed_is_seen_with_the_signal() {
    let host = TestHost::new();
    let (handle, _pipes) = host.run(&host.script(Transport::Stdio, "kill -9 $$")).await;
    let exit = within(host.runtime.wait(&handle)).await.unwrap();
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_has_a_parent_with_an_ordinary_number() {
    let host = TestHost::new();
    let (handle, pipes) = host.run(&host.script(Transport::Stdio, "echo $PPID; exit 7")).await;
    let (told, _pipe) = lines(pipes.unwrap().0.into(), 1).await;
    assert!(told[0].parse::<u32>().unwrap() > 1, "{told:?}");
    let exit = within(host.runtime.wait(&handle)).await.unwrap();
    assert_eq!((exit.code, exit.signal), (Some(7), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_asked_to_end_hears_of_it_once_and_its_end_is_seen_as_it_was() {
    let host = TestHost::new();
    let script = "asked=0; trap 'asked=$((asked + 1))' TERM; echo ready; \
                  while [ $asked = 0 ]; do sleep 0.1; done; sleep 0.5; exit $((40 + asked))";
    let (handle, pipes) = host.run(&host.script(Transport::Stdio, script)).await;
    let (_, _pipe) = lines(pipes.unwrap().0.into(), 1).await;
    within(host.runtime.stop(&handle, StopOptions { timeout_ms: 30_000 })).await.unwrap();
    let exit = within(host.runtime.wait(&handle)).await.unwrap();
    assert_eq!((exit.code, exit.signal), (Some(41), None));
    let host = TestHost::new();
    let (handle, pipes) = host.run(&host.script(Transport::Stdio, "echo ready; exec sleep 1000")).await;
    let (_, _pipe) = lines(pipes.unwrap().0.into(), 1).await;
    within(host.runtime.stop(&handle, StopOptions { timeout_ms: 30_000 })).await.unwrap();
    let exit = within(host.runtime.wait(&handle)).await.unwrap();
    assert_eq!((exit.code, exit.signal), (None, Some(15)));
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_both_processes_are_recorded_before_anything_of_the_workload_runs() {
    let host = TestHost::new();
    let proof = host.path("proof");
    let spec = host.script(Transport::Stdio, &format!("echo > {proof}"));
    let handle = host.runtime.deploy(&spec).await.unwrap();
    let observed = host.runtime.inspect(&handle).await.unwrap();
    assert_eq!((observed.uid.as_str(), observed.state), (spec.uid.as_str(), WorkloadState::Created));
    let data = data(&handle);
    assert!(lives(&data.launcher) && lives(&data.workload));
    assert!(!std::fs::exists(&proof).unwrap());
    host.runtime.start(&handle).await.unwrap();
    within(host.runtime.wait(&handle)).await.unwrap();
    assert!(std::fs::exists(&proof).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn stdin_and_stdout_are_the_workloads_alone_and_their_ends_are_seen() {
    let host = TestHost::new();
    let (handle, pipes) = host.run(&host.command(Transport::Stdio, "cat", &[])).await;
    let (reader, writer) = pipes.unwrap();
    let mut writer = std::fs::File::from(writer);
    writer.write_all(b"hello\n").unwrap();
    let (first, mut reader) = lines(reader.into(), 1).await;
    assert_eq!(first, ["hello"]);
    // The end of stdin reaches the program, and the end of the program the reader.
    drop(writer);
    let rest = within(tokio::task::spawn_blocking(move || {
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).map(|_| rest)
    }));
    assert!(rest.await.unwrap().unwrap().is_empty());
    assert_eq!(within(host.runtime.wait(&handle)).await.unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn attaching_is_possible_once_and_only_to_stdio() {
    let host = TestHost::new();
    let handle = host.runtime.deploy(&host.command(Transport::Stdio, "cat", &[])).await.unwrap();
    host.runtime.attach(&handle).await.unwrap();
    assert_eq!(host.runtime.attach(&handle).await.unwrap_err().code, ErrorCode::FailedPrecondition);
    let handle = host.runtime.deploy(&host.command(HTTP, "cat", &[])).await.unwrap();
    assert_eq!(host.runtime.attach(&handle).await.unwrap_err().code, ErrorCode::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_what_was_asked_for_and_a_short_list() {
    let host = TestHost::new();
    let mut spec = host.command(Transport::Stdio, "env", &[]);
    spec.env.insert("ASKED".to_owned(), "for".to_owned());
    let (handle, pipes) = host.run(&spec).await;
    within(host.runtime.wait(&handle)).await.unwrap();
    let (lines, _) = lines(pipes.unwrap().0.into(), usize::MAX).await;
    assert!(lines.contains(&"ASKED=for".to_owned()));
    assert!(lines.contains(&format!("WHARF_WORKLOAD_UID={}", spec.uid)));
    let allowed = |name: &str| {
        ["ASKED", "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_CACHE_HOME"]
            .contains(&name)
            || name.starts_with("SSL_CERT_")
            || ["NODE_EXTRA_CA_CERTS", "NODE_USE_SYSTEM_CA", "PIP_CERT", "GIT_SSL_CAINFO", "DENO_CERT"]
                .contains(&name)
            || name.ends_with("_CA_BUNDLE")
            || name == "CARGO_HTTP_CAINFO"
            || name.to_ascii_lowercase().ends_with("_proxy")
            || ["WHARF_WORKLOAD_UID", "WHARF_HOST_ID"].contains(&name)
    };
    // Cargo sets many more for this test itself.
    assert!(std::env::vars().any(|(name, _)| !allowed(&name)));
    for line in lines {
        assert!(allowed(line.split_once('=').unwrap().0), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_whose_interpreter_is_missing_fails_by_that_name() {
    let host = TestHost::new();
    let program = host.path("script");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o755).open(&program).unwrap();
    file.write_all(b"#!/no/such/interpreter -x\n").unwrap();
    drop(file);
    let handle = host.runtime.deploy(&host.command(Transport::Stdio, &program, &[])).await.unwrap();
    let error = host.runtime.start(&handle).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::FailedPrecondition);
    assert!(error.message.contains("/no/such/interpreter"), "{error}");
    let observed = host.runtime.inspect(&handle).await.unwrap();
    assert_eq!(observed.state, WorkloadState::Stopped);
    assert!(observed.exit.unwrap().reason.contains("cannot be executed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_vanishes_between_deploy_and_start_is_no_missing_workload() {
    let host = TestHost::new();
    let program = host.path("tool");
    std::fs::copy("/bin/true", &program).unwrap();
    let handle = host.runtime.deploy(&host.command(Transport::Stdio, &program, &[])).await.unwrap();
    std::fs::remove_file(&program).unwrap();
    let error = host.runtime.start(&handle).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::FailedPrecondition);
    assert!(error.message.contains(&program), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_honoured_is_refused_by_field_before_anything_is_made() {
    let host = TestHost::new();
    let good = host.command(Transport::Stdio, "cat", &[]);
    let profile = |text: &str| {
        let profile: PermissionProfile = serde_json::from_str(text).unwrap();
        WorkloadSpec { permission_profile: Some(profile), ..good.clone() }
    };
    let refused = [
        ("mounts", WorkloadSpec { mounts: vec!["volume:/b".to_owned()], ..good.clone() }),
        (
            "permission_profile.network.outbound.allow_host",
            profile(r#"{"network":{"outbound":{"allow_host":["a.example"]}}}"#),
        ),
        (
            "permission_profile.network.inbound.allow_host",
            profile(r#"{"network":{"inbound":{"allow_host":["a.example"]}}}"#),
        ),
        ("permission_profile.network.mode", profile(r#"{"network":{"mode":"bridge"}}"#)),
        ("permission_profile.read", profile(r#"{"read":["/usr:/elsewhere"]}"#)),
    ];
    for (field, spec) in refused {
        for error in [
            host.runtime.validate(&spec).await.unwrap_err(),
            host.runtime.pin(&spec).await.unwrap_err(),
            host.runtime.deploy(&spec).await.unwrap_err(),
        ] {
            assert_eq!(error.code, ErrorCode::Unsupported);
            assert_eq!(error.details, Some(serde_json::json!({ "field": field })));
        }
    }
    for spec in [
        WorkloadSpec { uid: "../x".to_owned(), ..good.clone() },
        WorkloadSpec { name: "../x".to_owned(), ..good.clone() },
        WorkloadSpec { host_id: "other".to_owned(), ..good.clone() },
        WorkloadSpec { env: [("WHARF_HOST_ID".to_owned(), "x".to_owned())].into(), ..good.clone() },
        WorkloadSpec { args: vec!["a\0b".to_owned()], ..good.clone() },
        host.command(Transport::Http { target_port: 0 }, "cat", &[]),
    ] {
        assert_eq!(host.runtime.pin(&spec).await.unwrap_err().code, ErrorCode::InvalidArgument);
        assert_eq!(host.runtime.deploy(&spec).await.unwrap_err().code, ErrorCode::InvalidArgument);
    }
    host.runtime.validate(&good).await.unwrap();
    assert_eq!(std::fs::read_dir(host.runtime.states.folder()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_are_too_long_for_the_system_are_an_error_in_words() {
    let host = TestHost::new();
    let spec = host.command(Transport::Stdio, "true", &[&"x".repeat(4 * 1024 * 1024)]);
    let handle = host.runtime.deploy(&spec).await.unwrap();
    let error = host.runtime.start(&handle).await.unwrap_err();
    assert!(error.message.contains("Argument list too long"), "{error}");
    let spec = host.command(Transport::Stdio, "true", &[&"x".repeat(9 * 1024 * 1024)]);
    assert_eq!(host.runtime.deploy(&spec).await.unwrap_err().code, ErrorCode::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_that_runs_is_not_deployed_again() {
    let host = TestHost::new();
    let spec = host.command(HTTP, "sleep", &["1000"]);
    let (handle, _) = host.run(&spec).await;
    assert_eq!(host.runtime.deploy(&spec).await.unwrap_err().code, ErrorCode::AlreadyExists);
    assert_eq!(host.another_process().deploy(&spec).await.unwrap_err().code, ErrorCode::AlreadyExists);
    // Starting what runs is no error, and changes nothing.
    host.runtime.start(&handle).await.unwrap();
    assert!(lives(&data(&handle).workload));
    host.runtime.remove(&handle).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_was_never_started_gives_way_to_the_next() {
    let host = TestHost::new();
    let spec = host.command(Transport::Stdio, "cat", &[]);
    let first = host.runtime.deploy(&spec).await.unwrap();
    let second = host.runtime.deploy(&spec).await.unwrap();
    assert!(!lives(&data(&first).workload));
    assert!(lives(&data(&second).workload));
    assert_eq!(host.runtime.start(&first).await.unwrap_err().code, ErrorCode::FailedPrecondition);
    host.runtime.start(&second).await.unwrap();
    host.runtime.remove(&second).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runtime_is_healthy_and_knows_its_machine_and_user() {
    let host = TestHost::new();
    let health = host.runtime.health().await;
    assert_eq!(health.state, HealthState::Healthy, "{}", health.message);
    let instance = host.runtime.instance().await.unwrap();
    assert_eq!(instance.endpoint, "local");
    assert!(instance.instance.ends_with(&format!("/{}", rustix::process::geteuid().as_raw())));
    let broken = ProcessRuntime::new(
        "h".to_owned(),
        "/dev/null/no".into(),
        "/tmp".into(),
        Vec::new(),
        vec![wharf_binary()],
    );
    assert_eq!(broken.health().await.state, HealthState::Unhealthy);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_finds_no_signal_blocked_and_no_descriptor_but_three() {
    let host = TestHost::new();
    // A descriptor that this process would pass on to its children, like a careless caller of wharf.
    let leaked = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let script = "ls /proc/$$/fd; umask; pwd; exec env kill -PIPE $$";
    let mut spec = host.script(Transport::Stdio, script);
    spec.env.insert("HOME".to_owned(), "/usr".to_owned());
    spec.working_dir = None;
    let (handle, pipes) = host.run(&spec).await;
    let (lines, _) = lines(pipes.unwrap().0.into(), usize::MAX).await;
    assert_eq!(lines, ["0", "1", "2", "0022", "/usr"]);
    // SIGPIPE ends it, as it ends any program.
    assert_eq!(within(host.runtime.wait(&handle)).await.unwrap().signal, Some(13));
    // Asked of a program that is no shell: shells empty the mask themselves.
    let (handle, pipes) =
        host.run(&host.command(Transport::Stdio, "grep", &["SigBlk", "/proc/self/status"])).await;
    let (blocked, _) = self::lines(pipes.unwrap().0.into(), usize::MAX).await;
    assert_eq!(blocked, ["SigBlk:\t0000000000000000"]);
    assert_eq!(within(host.runtime.wait(&handle)).await.unwrap().code, Some(0));
}
