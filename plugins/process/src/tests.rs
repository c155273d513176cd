//! Tests of the runtime with the real launcher and real processes.
mod ends;
mod launcher;
mod lifecycle;
mod recovery;

use crate::{child::Pipes, handle::HandleData, runtime::ProcessRuntime};
use std::{
    collections::BTreeMap,
    io::Read,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use wharf_sdk::{
    Handle, Runtime, Source, Transport, WorkloadSpec, pidfd::Process, process_identity::ProcessIdentity,
};

/// A host with folders of its own.
struct TestHost {
    folder: tempfile::TempDir,
    runtime: ProcessRuntime,
}

impl TestHost {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = runtime_in(folder.path());
        Self { folder, runtime }
    }

    /// The runtime of another process of the same host.
    fn another_process(&self) -> ProcessRuntime {
        runtime_in(self.folder.path())
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join("work").join(name).to_str().unwrap().to_owned()
    }

    /// A shell script as a workload.
    fn script(&self, transport: Transport, script: &str) -> WorkloadSpec {
        self.command(transport, "sh", &["-c", script])
    }

    fn command(&self, transport: Transport, program: &str, args: &[&str]) -> WorkloadSpec {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = (u64::from(std::process::id()) << 32) + NEXT.fetch_add(1, Ordering::Relaxed);
        WorkloadSpec {
            uid: format!("{number:032x}"),
            name: "work".to_owned(),
            host_id: self.runtime.host_id.clone(),
            parent: None,
            source: Source::Command { program: program.to_owned() },
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: BTreeMap::new(),
            transport,
            labels: BTreeMap::new(),
            group: None,
            user: None,
            pull: None,
            working_dir: Some(self.folder.path().join("work").display().to_string()),
            mounts: Vec::new(),
            cpus: None,
            memory_bytes: None,
            pids_limit: None,
            permission_profile: None,
            allow_weaker: false,
            network_verdict: None,
            supposed: std::collections::BTreeSet::new(),
            pinned: None,
            container: wharf_sdk::ContainerOptions::default(),
        }
    }

    /// Deploys and starts; the pipes are there for stdio.
    async fn run(&self, spec: &WorkloadSpec) -> (Handle, Option<Pipes>) {
        let handle = self.runtime.deploy(spec).await.unwrap();
        let pipes = self.runtime.child(&spec.uid).unwrap().take_stdio();
        self.runtime.start(&handle).await.unwrap();
        (handle, pipes)
    }
}

const HTTP: Transport = Transport::Http { target_port: 8080 };

fn runtime_in(folder: &std::path::Path) -> ProcessRuntime {
    let (data, logs) = (folder.join("data"), folder.join("logs"));
    std::fs::create_dir_all(&data).unwrap();
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::create_dir_all(folder.join("work")).unwrap();
    let host_id = folder.file_name().unwrap().to_str().unwrap().to_owned();
    ProcessRuntime::new(
        host_id,
        data.clone(),
        logs.clone(),
        vec![data, logs],
        vec![wharf_binary(), "__launch".to_owned()],
    )
}

/// The host's binary, two folders above the test's own.
fn wharf_binary() -> String {
    let own = std::env::current_exe().unwrap();
    let wharf: PathBuf = own.parent().unwrap().parent().unwrap().join("wharf");
    assert!(wharf.is_file(), "{} is missing; 'cargo build -p wharf --bin wharf' makes it", wharf.display());
    wharf.to_str().unwrap().to_owned()
}

/// The bytes from a pipe, read until they contain this number of lines.
async fn lines(mut pipe: std::fs::File, count: usize) -> (Vec<String>, std::fs::File) {
    let reading = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        let mut byte = [0];
        while text.iter().filter(|&&byte| byte == b'\n').count() < count && pipe.read(&mut byte).unwrap() == 1
        {
            text.push(byte[0]);
        }
        (String::from_utf8(text).unwrap().lines().map(str::to_owned).collect(), pipe)
    });
    within(reading).await.unwrap()
}

/// The processes whose pids the workload has written, as it counts: in a pid namespace of its own.
fn identities(handle: &Handle, lines: &[String]) -> Vec<ProcessIdentity> {
    let space = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = space(data(handle).workload.pid).unwrap();
    let number = |pid: i32| -> Option<String> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        numbers.split_whitespace().last().map(str::to_owned)
    };
    let names = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let all: Vec<i32> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    let all: Vec<i32> = all.into_iter().filter(|&pid| space(pid).as_ref() == Some(&own)).collect();
    let find = |inside: &str| all.iter().find(|&&pid| number(pid).as_deref() == Some(inside)).unwrap();
    lines.iter().map(|inside| ProcessIdentity::of(*find(inside.trim())).unwrap()).collect()
}

fn data(handle: &Handle) -> HandleData {
    HandleData::read(handle).unwrap()
}

fn lives(identity: &ProcessIdentity) -> bool {
    Process::recorded(identity).unwrap().is_some()
}

/// Waits for the end of a process.
async fn end_of(identity: &ProcessIdentity) {
    if let Some(process) = Process::recorded(identity).unwrap() {
        within(process.ended()).await.unwrap();
    }
}

/// Fails a test that waits for an event that does not come, instead of letting it hang.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it took longer than a minute")
}
