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
    /// From the kill of the server's process to the status file that tells of its end.
    killed_recorded_ms: f64,
    /// From the kill of the server's process to its answer to the next client.
    away_ms: f64,
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(super) fn measure(cluster: &Cluster) -> Result<Value> {
    let side = Side::of(cluster, "exits")?;
    let waiting = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut recorded, mut told, mut noted, mut away) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ENDS {
        let url = side.run(NAME, STDIO, &[]);
        let (note, back) = waiting.block_on(killed(&side, &url))?;
        noted.push(note);
        away.push(back);
        side.remove();
        side.run(NAME, STDIO, &[]);
        let (record, answer) = waiting.block_on(ended(&side))?;
        recorded.push(record);
        told.push(answer);
        side.remove();
    }
    let report = Report {
        recorded_ms: milliseconds(&recorded),
        kubectl_wait_ms: milliseconds(&told),
        killed_recorded_ms: milliseconds(&noted),
        away_ms: milliseconds(&away),
    };
    println!("The end of a pod, medians of {ENDS}, in ms");
    println!("scaled to none until it is on record   {:>7.0}", report.recorded_ms);
    println!("the same until kubectl wait ends       {:>7.0}", report.kubectl_wait_ms);
    println!("its server killed until on record      {:>7.0}", report.killed_recorded_ms);
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

/// Kills the server as its node would see it die.
async fn killed(side: &Side<'_>, url: &str) -> Result<(Duration, Duration)> {
    let mut watch = Watch::new()?;
    watch.folder(&side.host.path("state/statuses"))?;
    let server = server()?;
    let began = Instant::now();
    kill(server, "KILL");
    while side.host.record(NAME)["last_exit"].is_null() {
        tokio::time::timeout(EVENT_WAIT, watch.changed()).await??;
    }
    let noted = began.elapsed();
    let is_another = || self::server().is_ok_and(|now| now != server);
    eventually("another one answers", || is_another() && Client::open(url).is_ok());
    Ok((noted, began.elapsed()))
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
