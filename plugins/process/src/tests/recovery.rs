use super::*;
use wharf_sdk::{
    Attach, ErrorCode, ListQuery, StopOptions, WorkloadState, launch::State, process_identity::BootId,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_port_outlives_its_supervisor_and_is_found_stopped_and_known_by_another() {
    let host = TestHost::new();
    let (handle, _) = host.run(&host.command(HTTP, "sleep", &["1000"])).await;
    let (data, folder) = (data(&handle), host.folder);
    drop(host.runtime);
    let later = runtime_in(folder.path());
    let observed = later.recover(&handle).await.unwrap();
    assert_eq!(observed.state, WorkloadState::Running);
    assert_eq!(observed.address, Some(wharf_sdk::Address::loopback(8080)));
    assert!(observed.started_at_ms.is_some());
    assert!(lives(&data.workload));
    let listing = later.list(&ListQuery::ALL).await.unwrap();
    assert!(listing.complete);
    assert_eq!(listing.workloads, [observed]);
    assert_eq!(listing.instance, later.instance().await.unwrap().instance);

    // Waited for by one process and stopped by another.
    let (watcher, watched) = (runtime_in(folder.path()), handle.clone());
    let waiting = tokio::spawn(async move { watcher.wait(&watched).await });
    within(later.stop(&handle, StopOptions { timeout_ms: 30_000 })).await.unwrap();
    let exit = within(waiting).await.unwrap().unwrap();
    assert_eq!(exit.signal, Some(15));
    assert!(!lives(&data.workload) && !lives(&data.launcher));
    assert_eq!(later.inspect(&handle).await.unwrap().exit, Some(exit));
    later.remove(&handle).await.unwrap();
    assert!(later.list(&ListQuery::ALL).await.unwrap().workloads.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_deployed_is_neither_attached_nor_started() {
    let host = TestHost::new();
    let handle = host.runtime.deploy(&host.command(Transport::Stdio, "cat", &[])).await.unwrap();
    let other = host.another_process();
    assert_eq!(other.recover(&handle).await.unwrap().state, WorkloadState::Created);
    assert_eq!(other.start(&handle).await.unwrap_err().code, ErrorCode::FailedPrecondition);
    host.runtime.start(&handle).await.unwrap();
    assert_eq!(other.recover(&handle).await.unwrap().state, WorkloadState::Running);
    other.start(&handle).await.unwrap();
    assert_eq!(other.attach(&handle).await.unwrap_err().code, ErrorCode::FailedPrecondition);
    within(other.remove(&handle)).await.unwrap();
    assert!(!lives(&data(&handle).workload));
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_pid_that_was_used_again_or_is_of_another_boot_is_never_signalled() {
    let host = TestHost::new();
    let mut bystander = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let real = ProcessIdentity::of(bystander.id().cast_signed()).unwrap();
    let recorded = [
        ProcessIdentity { start_time: real.start_time - 1, ..real.clone() },
        ProcessIdentity {
            boot_id: BootId::from_text("00000000-0000-0000-0000-000000000000"),
            ..real.clone()
        },
    ];
    for identity in recorded {
        let spec = host.command(Transport::Stdio, "cat", &[]);
        let data = HandleData {
            name: "work".to_owned(),
            launcher: identity.clone(),
            workload: identity.clone(),
            target_port: None,
            log_path: host.runtime.log_path("work"),
        };
        let handle = data.to_handle(&spec.uid).unwrap();
        assert_eq!(host.runtime.inspect(&handle).await.unwrap_err().code, ErrorCode::NotFound);
        host.runtime.stop(&handle, StopOptions { timeout_ms: 1_000 }).await.unwrap();
        host.runtime.remove(&handle).await.unwrap();
        assert!(bystander.try_wait().unwrap().is_none(), "{identity:?}");
    }
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

/// A thread that lives until this is dropped, and its number.
struct Thread(i32, Option<(std::sync::mpsc::Sender<()>, std::thread::JoinHandle<()>)>);

impl Thread {
    fn spawn() -> Self {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let own = std::fs::read_link("/proc/thread-self").unwrap();
            tell.send(own.file_name().unwrap().to_str().unwrap().parse().unwrap()).unwrap();
            let _ = ended.recv();
        });
        Self(told.recv().unwrap(), Some((end, thread)))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.1.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}

/// The state file of a workload of which the launcher's number is a thread's by now.
fn reuse_for_a_thread(host: &TestHost, handle: &Handle, thread: &Thread, change: impl FnOnce(&mut State)) {
    let path = host.runtime.states.path(&handle.uid);
    let mut state: State = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    state.launcher.pid = thread.0;
    state.workload.pid = thread.0;
    change(&mut state);
    write(&path, &serde_json::to_vec(&state).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_pid_that_was_used_again_for_a_thread_keeps_nothing_from_being_shown_started_or_removed() {
    let (host, thread) = (TestHost::new(), Thread::spawn());
    let spec = host.command(HTTP, "sleep", &["1000"]);
    let (handle, _) = host.run(&spec).await;
    let (other, _) = host.run(&host.command(HTTP, "sleep", &["1000"])).await;
    host.runtime.stop(&handle, StopOptions { timeout_ms: 0 }).await.unwrap();
    // A launcher that was killed has recorded no end.
    reuse_for_a_thread(&host, &handle, &thread, |state| state.exit = None);
    let later = host.another_process();
    let listing = later.list(&ListQuery::ALL).await.unwrap();
    assert!(listing.complete);
    let state = |uid: &str| listing.workloads.iter().find(|seen| seen.uid == uid).unwrap().state;
    assert_eq!((state(&handle.uid), state(&other.uid)), (WorkloadState::Stopped, WorkloadState::Running));
    let shown = listing.workloads.iter().find(|seen| seen.uid == handle.uid).unwrap();
    let recorded = shown.handle.clone().unwrap();
    assert_eq!(later.inspect(&recorded).await.unwrap().state, WorkloadState::Stopped);
    within(later.stop(&recorded, StopOptions { timeout_ms: 1_000 })).await.unwrap();
    // It is deployed again, and removed.
    let again = within(later.deploy(&spec)).await.unwrap();
    within(later.remove(&again)).await.unwrap();
    reuse_for_a_thread(&host, &other, &thread, |_| {});
    within(later.remove(&recorded)).await.unwrap();
    within(later.remove(&other)).await.unwrap();
    assert!(later.list(&ListQuery::ALL).await.unwrap().workloads.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_a_workload_that_cannot_be_examined_costs_the_others_nothing() {
    let host = TestHost::new();
    let (hidden, _) = host.run(&host.command(HTTP, "sleep", &["1000"])).await;
    let (seen, _) = host.run(&host.command(HTTP, "sleep", &["1000"])).await;
    let all = host.runtime.states.read_all().unwrap();
    let listed = host.runtime.listed(&all.states, |state| match state.uid == hidden.uid {
        true => Err(std::io::ErrorKind::PermissionDenied.into()),
        false => host.runtime.of_state(state),
    });
    let state = |uid: &str| listed.iter().find(|seen| seen.uid == uid).unwrap().state;
    assert_eq!((state(&hidden.uid), state(&seen.uid)), (WorkloadState::Unknown, WorkloadState::Running));
    for handle in [hidden, seen] {
        within(host.runtime.remove(&handle)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reboot_a_recorded_workload_has_ended_for_that_reason() {
    let host = TestHost::new();
    let (handle, _) = host.run(&host.command(HTTP, "sleep", &["1000"])).await;
    let path = host.runtime.states.path(&handle.uid);
    let mut state: State = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    host.runtime.stop(&handle, StopOptions { timeout_ms: 0 }).await.unwrap();
    state.launcher.boot_id = BootId::from_text("another");
    state.workload.boot_id = BootId::from_text("another");
    write(&path, &serde_json::to_vec(&state).unwrap());
    let listing = host.another_process().list(&ListQuery::ALL).await.unwrap();
    assert_eq!(listing.workloads.len(), 1);
    assert_eq!(listing.workloads[0].state, WorkloadState::Stopped);
    assert_eq!(listing.workloads[0].exit.as_ref().unwrap().reason, "the machine was restarted");
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_a_state_file_that_cannot_be_read_is_no_evidence() {
    let host = TestHost::new();
    let (handle, _) = host.run(&host.command(HTTP, "sleep", &["1000"])).await;
    let (kept, _) = host.run(&host.command(HTTP, "sleep", &["1000"])).await;
    write(&host.runtime.states.path(&handle.uid), b"{\"uid\":");
    let listing = host.runtime.list(&ListQuery::ALL).await.unwrap();
    assert!(!listing.complete);
    assert_eq!(listing.workloads.len(), 1);
    let asked = async |uid: &str| host.runtime.list(&ListQuery::one(uid)).await.unwrap();
    let broken = asked(&handle.uid).await;
    assert!(!broken.complete && broken.workloads.is_empty());
    let whole = asked(&kept.uid).await;
    assert!(whole.complete && whole.workloads.len() == 1, "what is not asked for is not missed");
    assert_ne!(host.runtime.inspect(&handle).await.unwrap_err().code, ErrorCode::NotFound);
    // It is ended all the same, by the identities in the handle.
    within(host.runtime.remove(&handle)).await.unwrap();
    assert!(!lives(&data(&handle).workload));
    assert!(lives(&data(&kept).workload));
    within(host.runtime.remove(&kept)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_state_of_another_host_is_not_listed() {
    let host = TestHost::new();
    let (handle, _) = host.run(&host.script(Transport::Stdio, "exit 0")).await;
    within(host.runtime.wait(&handle)).await.unwrap();
    let path = host.runtime.states.path(&handle.uid);
    let text = std::fs::read_to_string(&path).unwrap().replace(&host.runtime.host_id, "foreign");
    write(&path, text.as_bytes());
    for query in [ListQuery::ALL, ListQuery::one(&handle.uid)] {
        let listing = host.runtime.list(&query).await.unwrap();
        assert!(listing.complete && listing.workloads.is_empty(), "{query:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_a_folder_that_is_gone_says_of_no_workload_that_it_is() {
    let host = TestHost::new();
    let (handle, _) = host.run(&host.command(HTTP, "sleep", &["1000"])).await;
    let nothing = host.runtime.list(&ListQuery::one(&"0".repeat(32))).await.unwrap();
    assert!(nothing.complete && nothing.workloads.is_empty());
    let folder = host.runtime.states.folder().to_owned();
    let aside = folder.with_extension("aside");
    std::fs::rename(&folder, &aside).unwrap();
    for query in [ListQuery::ALL, ListQuery::one(&handle.uid), ListQuery::these([])] {
        assert_eq!(host.runtime.list(&query).await.unwrap_err().code, ErrorCode::Unavailable, "{query:?}");
    }
    std::fs::rename(&aside, &folder).unwrap();
    within(host.runtime.remove(&handle)).await.unwrap();
}

fn write(path: &std::path::Path, bytes: &[u8]) {
    std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), bytes).unwrap();
}
