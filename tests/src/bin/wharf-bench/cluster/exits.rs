//! The time from the request to end a pod until the end is recorded, compared with `kubectl wait`; and how long it takes from
//! the kill of a server, which the cluster starts again, until that end is recorded, and until it answers again.
use super::{NAME, STDIO, Side};
use crate::{Result, milliseconds};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};
use wharf_records::Watch;
use wharf_tests::{
    client::Client,
    cluster::Cluster,
    host::{EVENT_WAIT, eventually, kill},
};

const ENDS: usize = 5;

#[derive(Serialize)]
struct Report {
    /// From the start of `kubectl scale --replicas=0` to the status file that tells of the end.
    recorded_ms: f64,
    /// From the same moment to the end of `kubectl wait --for=delete`.
    kubectl_wait_ms: f64,
    ratio: f64,
    /// From the kill of the server's process to the status file that tells of its end.
    killed_recorded_ms: f64,
    /// From the same moment to the end of a `kubectl wait` for the pod's next container.
    killed_kubectl_wait_ms: f64,
    killed_ratio: f64,
    /// From the kill of the server's process to its answer to the next client.
    away_ms: f64,
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(super) fn measure(cluster: &Cluster) -> Result<Value> {
    let side = Side::of(cluster, "exits")?;
    let waiting = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut recorded, mut told) = (Vec::new(), Vec::new());
    let (mut noted, mut seen, mut away) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ENDS {
        let url = side.run(NAME, STDIO, &[]);
        let (note, look, back) = waiting.block_on(killed(&side, &url))?;
        noted.push(note);
        seen.push(look);
        away.push(back);
        side.remove();
        side.run(NAME, STDIO, &[]);
        let (record, answer) = waiting.block_on(ended(&side))?;
        recorded.push(record);
        told.push(answer);
        side.remove();
    }
    let (recorded_ms, kubectl_wait_ms) = (milliseconds(&recorded), milliseconds(&told));
    let (killed_recorded_ms, killed_kubectl_wait_ms) = (milliseconds(&noted), milliseconds(&seen));
    let report = Report {
        recorded_ms,
        kubectl_wait_ms,
        ratio: recorded_ms / kubectl_wait_ms,
        killed_recorded_ms,
        killed_kubectl_wait_ms,
        killed_ratio: killed_recorded_ms / killed_kubectl_wait_ms,
        away_ms: milliseconds(&away),
    };
    println!("The end of a pod, medians of {ENDS}, in ms");
    println!("scaled to none until it is on record   {recorded_ms:>7.0}");
    println!("the same until kubectl wait ends       {kubectl_wait_ms:>7.0}, ratio {:.2}", report.ratio);
    println!("its server killed until on record      {killed_recorded_ms:>7.0}");
    println!(
        "the same until kubectl wait ends       {killed_kubectl_wait_ms:>7.0}, ratio {:.2}",
        report.killed_ratio
    );
    println!("its server killed until it answers     {:>7.0}", report.away_ms);
    Ok(to_value(report)?)
}

async fn ended(side: &Side<'_>) -> Result<(Duration, Duration)> {
    let mut watch = Watch::new()?;
    watch.folder(&side.host.path("state/statuses"))?;
    let pod = format!("pod/{}", side.field("pods", ".metadata.name"));
    let mut wait = side.namespace.command(&["wait", "--for=delete", &pod, "--timeout=60s"]);
    let mut wait = wait.stdout(Stdio::null()).spawn()?;
    let began = Instant::now();
    let told = tokio::task::spawn_blocking(move || wait.wait().map(|status| (Instant::now(), status)));
    let scale = ["scale", "statefulsets", "--all", "--replicas=0"];
    let mut scale = side.namespace.command(&scale).stdout(Stdio::null()).spawn()?;
    while side.host.record(NAME)["last_exit"].is_null() {
        tokio::time::timeout(EVENT_WAIT, watch.changed()).await??;
    }
    let recorded = began.elapsed();
    let (at, status) = told.await??;
    if scale.wait()?.success() && status.success() {
        return Ok((recorded, at - began));
    }
    Err("kubectl failed".into())
}

/// Kills the server as its node would see it die: how long it takes until that is on record, until kubectl has seen that its
/// container was started again, and until it answers.
async fn killed(side: &Side<'_>, url: &str) -> Result<(Duration, Duration, Duration)> {
    const AGAIN: &str = "--for=jsonpath={.status.containerStatuses[0].restartCount}=1";
    let mut watch = Watch::new()?;
    watch.folder(&side.host.path("state/statuses"))?;
    let server = server()?;
    let pod = format!("pod/{}", side.field("pods", ".metadata.name"));
    let mut wait = side.namespace.command(&["wait", AGAIN, &pod, "--timeout=60s"]);
    let mut wait = wait.stdout(Stdio::null()).spawn()?;
    let began = Instant::now();
    let told = tokio::task::spawn_blocking(move || wait.wait().map(|status| (Instant::now(), status)));
    kill(server, "KILL");
    while side.host.record(NAME)["last_exit"].is_null() {
        tokio::time::timeout(EVENT_WAIT, watch.changed()).await??;
    }
    let noted = began.elapsed();
    let is_another = || self::server().is_ok_and(|now| now != server);
    eventually("another one answers", || is_another() && Client::open(url).is_ok());
    let back = began.elapsed();
    let (at, status) = told.await??;
    if status.success() { Ok((noted, at - began, back)) } else { Err("kubectl failed".into()) }
}

/// The only server on stdio that runs in a pod.
fn server() -> Result<i32> {
    let line = format!("/server\0{}\0", STDIO.argument);
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse() else { continue };
        if fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|arguments| arguments == line) {
            return Ok(pid);
        }
    }
    Err("the server is not to be found".into())
}
