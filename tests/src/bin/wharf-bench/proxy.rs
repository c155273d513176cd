//! Requests through the proxy beside a bare axum server and the stdio server alone, and the memory of the processes that stay.
//!
//! The floor of a request is what these two cost together: the proxy adds a pipe to a server that listens, and a listener
//! to one that has a pipe. Processor time tells it on a busy machine, too.
use crate::{
    Result,
    client::{Load, Sample},
    host::{Memory, Running, cpu_time, memory},
    servers::{Child, stdio_alone},
};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::time::Duration;
use wharf_tests::host::Host;

/// How often everything is measured, in turns; medians are reported.
const ROUNDS: usize = 5;
/// How long each load lasts in each round.
const LASTS: Duration = Duration::from_millis(700);
/// Clients at once, and bytes of each call's argument.
const LOADS: [(usize, usize); 4] = [(1, 32), (1, 64 * 1024), (16, 32), (16, 64 * 1024)];
/// The targets of each load. The stdio server's pipe has room for one client only.
const TARGETS: [&str; 3] = ["wharf", "bare axum", "stdio alone"];

#[derive(Serialize)]
struct Report {
    requests: Vec<Requests>,
    memory: Vec<Kept>,
}

/// One load on one target.
#[derive(Serialize)]
struct Requests {
    target: &'static str,
    clients: usize,
    payload_bytes: usize,
    #[serde(flatten)]
    sample: Sample,
    /// Of the proxy: processor time of a request, times what the bare server and the stdio server alone need together.
    ratio: Option<f64>,
}

/// The memory of a process that stays.
#[derive(Serialize)]
struct Kept {
    process: &'static str,
    when: &'static str,
    #[serde(flatten)]
    memory: Memory,
}

/// Measures both.
pub(crate) fn measure() -> Result<Value> {
    let host = Host::new();
    let running = Running::start(&host, &[])?;
    let mut kept = kept(&running, "ready")?;
    let bare = Child::bare()?;
    let requests = requests(&running, &bare)?;
    kept.extend(self::kept(&running, "after the load")?);
    kept.push(Kept { process: "bare axum", when: "after the load", memory: memory(bare.pid())? });
    running.remove(&host);
    let report = Report { requests, memory: kept };
    print(&report);
    Ok(to_value(report)?)
}

fn kept(running: &Running, when: &'static str) -> Result<Vec<Kept>> {
    let Running { supervisor, launcher, server, .. } = *running;
    let processes = [("supervisor", supervisor), ("launcher", launcher), ("stdio server", server)];
    processes.into_iter().map(|(process, pid)| Ok(Kept { process, when, memory: memory(pid)? })).collect()
}

fn requests(running: &Running, bare: &Child) -> Result<Vec<Requests>> {
    let mut rounds: [[Vec<Sample>; TARGETS.len()]; LOADS.len()] = Default::default();
    for _ in 0..ROUNDS {
        for ((clients, payload), [wharf, axum, stdio]) in LOADS.into_iter().zip(&mut rounds) {
            let load = Load { clients, payload, lasts: LASTS };
            wharf.push(measured(&load, &running.target, &[running.supervisor, running.server])?);
            axum.push(measured(&load, &format!("{}/mcp", bare.address), &[bare.pid()])?);
            if clients == 1 {
                stdio.push(stdio_alone(payload, LASTS)?);
            }
        }
    }
    let mut rows = Vec::new();
    for ((clients, payload_bytes), targets) in LOADS.into_iter().zip(&rounds) {
        let [wharf, axum, _] = targets.each_ref().map(|samples| Sample::median(samples));
        // The stdio server takes one call after the other, however many clients there are.
        let alone = LOADS
            .iter()
            .zip(&rounds)
            .find(|((clients, payload), _)| (*clients, *payload) == (1, payload_bytes));
        let stdio = alone.map_or(f64::NAN, |(_, targets)| Sample::median(&targets[2]).cpu_us);
        let ratio = wharf.cpu_us / (axum.cpu_us + stdio);
        for (target, samples) in TARGETS.into_iter().zip(targets).filter(|(_, samples)| !samples.is_empty()) {
            let (sample, ratio) = (Sample::median(samples), (target == TARGETS[0]).then_some(ratio));
            rows.push(Requests { target, clients, payload_bytes, sample, ratio });
        }
    }
    Ok(rows)
}

/// A load, and the processor time that these processes spent on each of its requests.
fn measured(load: &Load, target: &str, pids: &[u32]) -> Result<Sample> {
    let spent = || pids.iter().map(|pid| cpu_time(*pid)).sum::<std::io::Result<Duration>>();
    let before = spent()?;
    let mut sample = load.run(target)?;
    sample.cpu_us = (spent()? - before).as_secs_f64() * 1e6 / sample.requests as f64;
    Ok(sample)
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn print(report: &Report) {
    println!("Requests: medians of {ROUNDS} rounds in turns. CPU: of the servers, for each request.");
    println!("clients  payload  target          per s    p50 ms    p99 ms    CPU µs  of both floors");
    for Requests { target, clients, payload_bytes, sample, ratio } in &report.requests {
        let Sample { per_second, p50_us, p99_us, cpu_us, .. } = sample;
        let (p50, p99) = (p50_us / 1e3, p99_us / 1e3);
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        println!(
            "{clients:>7} {payload_bytes:>8}  {target:<11} {per_second:>9.0} {p50:>9.3} {p99:>9.3} {cpu_us:>9.1} {ratio:>15}"
        );
    }
    println!("\nMemory in KiB  when               PSS     anon     file      RSS  threads");
    for Kept { process, when, memory } in &report.memory {
        let Memory { pss_kib, pss_anon_kib, pss_file_kib, rss_kib, threads } = memory;
        println!(
            "{process:<14} {when:<14} {pss_kib:>7} {pss_anon_kib:>8} {pss_file_kib:>8} {rss_kib:>8} {threads:>8}"
        );
    }
}
