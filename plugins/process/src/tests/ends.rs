use super::*;
use rustix::process::{Pid, Signal, kill_process};
use wharf_sdk::{ListQuery, StopOptions, WorkloadState, process_identity::ProcessStat};

/// Three processes that stay: the first, a child in the background, and a daemon with a session of its own whose
/// parent has ended. Each writes its pid.
const FAMILY: &str =
    "(setsid sh -c 'echo $$; exec sleep 1000' &); sh -c 'echo $$; exec sleep 1000' & echo $$; ";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_family_survives_a_stop() {
    let host = TestHost::new();
    let (handle, pipes) = host.run(&host.script(Transport::Stdio, &format!("{FAMILY} wait"))).await;
    let (pids, _pipe) = lines(pipes.unwrap().0.into(), 3).await;
    let family = identities(&handle, &pids);
    assert!(family.iter().all(lives));
    within(host.runtime.stop(&handle, StopOptions { timeout_ms: 30_000 })).await.unwrap();
    for identity in &family {
        assert!(!lives(identity), "{identity:?}");
    }
    let exit = host.runtime.inspect(&handle).await.unwrap().exit.unwrap();
    assert_eq!(exit.signal, Some(15), "{exit:?}");
    // Again: success, nothing done.
    host.runtime.stop(&handle, StopOptions { timeout_ms: 0 }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_outlive_the_first_one_are_ended_with_it() {
    let host = TestHost::new();
    let (handle, pipes) =
        host.run(&host.script(Transport::Stdio, &format!("{FAMILY} read line; exit 5"))).await;
    let (reader, writer) = pipes.unwrap();
    let (pids, _reader) = lines(reader.into(), 3).await;
    let family = identities(&handle, &pids);
    drop(writer);
    assert_eq!(within(host.runtime.wait(&handle)).await.unwrap().code, Some(5));
    assert!(!family.iter().any(lives));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_that_ignores_a_stop_is_killed_after_the_timeout() {
    let host = TestHost::new();
    let script = "trap '' TERM; echo ready; while :; do sleep 1000; done";
    let (handle, pipes) = host.run(&host.script(Transport::Stdio, script)).await;
    let (_, _pipe) = lines(pipes.unwrap().0.into(), 1).await;
    within(host.runtime.stop(&handle, StopOptions { timeout_ms: 50 })).await.unwrap();
    let exit = within(host.runtime.wait(&handle)).await.unwrap();
    assert_eq!((exit.signal, exit.reason.as_str()), (Some(9), "killed on request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_dies_before_it_says_go_leaves_nothing() {
    let host = TestHost::new();
    let proof = host.path("proof");
    let spec = host.script(HTTP, &format!("echo > {proof}"));
    let handle = host.runtime.deploy(&spec).await.unwrap();
    let (data, folder) = (data(&handle), host.folder);
    drop(host.runtime);
    end_of(&data.launcher).await;
    assert!(!lives(&data.workload));
    let later = runtime_in(folder.path());
    assert_eq!(later.inspect(&handle).await.unwrap_err().code, wharf_sdk::ErrorCode::NotFound);
    assert!(!std::fs::exists(&proof).unwrap());
    assert_eq!(std::fs::read_dir(later.states.folder()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_given_up_half_way_leaves_nothing() {
    let host = TestHost::new();
    let spec = host.command(Transport::Stdio, "cat", &[]);
    for count in 0..60 {
        // Each is given up somewhere else: before the launcher has read its job, after that, or after its report.
        let patience = Duration::from_micros(count * 200);
        if tokio::time::timeout(patience, host.runtime.deploy(&spec)).await.is_err() {
            // The listing waits until the launcher has cleared up.
            let left = within(host.runtime.list(&ListQuery::one(&spec.uid))).await.unwrap();
            assert!(left.complete && left.workloads.is_empty(), "{patience:?}");
            assert_eq!(host.runtime.states.read_all().unwrap().states.len(), 0, "{patience:?}");
        }
        // Everything that it had made gives way to this deployment, whose record is the only one.
        let handle = within(host.runtime.deploy(&spec)).await.unwrap();
        within(host.runtime.remove(&handle)).await.unwrap();
        assert_eq!(std::fs::read_dir(host.runtime.states.folder()).unwrap().count(), 0, "{patience:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stdio_workload_ends_with_its_supervisor_by_being_asked_first() {
    let host = TestHost::new();
    let proof = host.path("proof");
    let script =
        format!("trap 'echo asked > {proof}; exit 0' TERM; echo ready; while :; do sleep 1000 & wait; done");
    let (handle, pipes) = host.run(&host.script(Transport::Stdio, &script)).await;
    let (_, pipe) = lines(pipes.unwrap().0.into(), 1).await;
    let (data, folder) = (data(&handle), host.folder);
    drop((pipe, host.runtime));
    end_of(&data.launcher).await;
    assert_eq!(std::fs::read_to_string(proof).unwrap(), "asked\n");
    let observed = runtime_in(folder.path()).inspect(&handle).await.unwrap();
    assert_eq!(observed.state, WorkloadState::Stopped);
    let exit = observed.exit.unwrap();
    assert_eq!((exit.code, exit.reason.as_str()), (Some(0), "ended because its supervisor did"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_launcher_takes_all_of_the_workload_along() {
    let host = TestHost::new();
    let (handle, pipes) = host.run(&host.script(Transport::Stdio, &format!("{FAMILY} wait"))).await;
    let (pids, _pipe) = lines(pipes.unwrap().0.into(), 3).await;
    let family = identities(&handle, &pids);
    let data = data(&handle);
    kill_process(Pid::from_raw(data.launcher.pid).unwrap(), Signal::KILL).unwrap();
    let exit = within(host.runtime.wait(&handle)).await.unwrap();
    assert_eq!((exit.code, exit.signal), (None, None));
    assert!(exit.reason.contains("launcher"), "{exit:?}");
    assert!(!lives(&data.workload));
    // Their init has died with it.
    for identity in &family {
        end_of(identity).await;
    }
    within(host.runtime.remove(&handle)).await.unwrap();
    assert_eq!(host.runtime.inspect(&handle).await.unwrap_err().code, wharf_sdk::ErrorCode::NotFound);
    host.runtime.remove(&handle).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_neither_stops_the_workload_nor_fills_the_disk() {
    let host = TestHost::new();
    let line = "x".repeat(99);
    let script = format!("yes {line} | head -c 50000000 >&2; echo last >&2");
    let (handle, _pipes) = host.run(&host.script(Transport::Stdio, &script)).await;
    assert_eq!(within(host.runtime.wait(&handle)).await.unwrap().code, Some(0));
    let log = host.runtime.log_path("work");
    assert!(std::fs::read_to_string(&log).unwrap().ends_with(" last\n"));
    let sizes: Vec<u64> = std::fs::read_dir(log.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert_eq!(sizes.len(), 3);
    assert!(sizes.iter().sum::<u64>() <= 3 * 10 * 1024 * 1024, "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_zombie_is_left() {
    let host = TestHost::new();
    let mut launchers = Vec::new();
    for script in ["exit 0", "kill -9 $$", "sleep 1000 & exit 1", "exec sleep 1000"] {
        let (handle, _pipes) = host.run(&host.script(Transport::Stdio, script)).await;
        within(host.runtime.remove(&handle)).await.unwrap();
        launchers.push(data(&handle));
    }
    // The task that reaps runs at its own time; there is nothing to await but its effect.
    let reaped = async {
        for data in &launchers {
            for identity in [&data.launcher, &data.workload] {
                while ProcessStat::of(identity.pid).is_ok_and(|stat| stat.start_time == identity.start_time) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    };
    within(reaped).await;
}
