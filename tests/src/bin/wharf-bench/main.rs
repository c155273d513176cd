//! What wharf costs, each figure beside its floor in the same run: requests through the proxy beside a bare axum
//! server, `wharf run` beside starting the same server by hand, and the memory of what stays.
//!
//! `cargo run --release -p wharf-tests --bin wharf-bench [-- --json FILE]`; under a minute, on loopback alone. Builds
//! the workspace first where `wharf` is not beside this binary. After changes: `cargo build --release --workspace`.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
mod client;
mod host;
mod servers;

use client::{Load, Sample};
use host::{Memory, Running, cpu_time, memory};
use serde::Serialize;
use servers::{Child, by_hand, stdio_alone};
use std::{error::Error, io::Write, process::Command, process::ExitCode, time::Duration};
use wharf_tests::host::Host;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How often everything is measured, in turns; medians are reported.
const ROUNDS: usize = 5;
/// Starts are short and vary more.
const STARTS: usize = 15;
/// How long each load lasts in each round.
const LASTS: Duration = Duration::from_millis(700);
/// Clients at once, and bytes of each call's argument.
const LOADS: [(usize, usize); 4] = [(1, 32), (1, 64 * 1024), (16, 32), (16, 64 * 1024)];
/// What each load is run against. The stdio server's pipe has room for one client only.
const TARGETS: [&str; 3] = ["wharf", "bare axum", "stdio alone"];

#[derive(Serialize)]
struct Report {
    requests: Vec<Requests>,
    /// From the start of `wharf run` to its end: the URL has been printed.
    wharf_run_ms: f64,
    /// From the start of the server to its answer to `initialize`.
    by_hand_ms: f64,
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
    /// Requests per second, as a share of the bare server's.
    ratio: f64,
}

/// What stays in memory.
#[derive(Serialize)]
struct Kept {
    process: &'static str,
    when: &'static str,
    #[serde(flatten)]
    memory: Memory,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [servers::ECHO, ..] => servers::echo().map_err(Into::into),
        [servers::BARE] => servers::bare().map_err(Into::into),
        [] => bench(None),
        ["--json", file] => bench(Some(file)),
        _ => Err("usage: wharf-bench [--json FILE]".into()),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let _ = writeln!(std::io::stderr(), "wharf-bench: {error}");
    ExitCode::FAILURE
}

fn bench(json: Option<&str>) -> Result<()> {
    if cfg!(debug_assertions) {
        println!("(This is no release build: the figures mean little.)\n");
    }
    build()?;
    let host = Host::new();
    let (wharf_run_ms, by_hand_ms) = starts(&host)?;
    let running = Running::start(&host)?;
    let mut kept = kept(&running, "ready")?;
    let bare = Child::bare()?;
    let requests = requests(&running, &bare)?;
    kept.extend(self::kept(&running, "after the load")?);
    kept.push(Kept { process: "bare axum", when: "after the load", memory: memory(bare.pid())? });
    running.remove(&host);
    let report = Report { requests, wharf_run_ms, by_hand_ms, memory: kept };
    print(&report);
    if let Some(file) = json {
        std::fs::File::create(file)?.write_all(&serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}

/// Builds the workspace where that was not done.
fn build() -> Result<()> {
    let own = std::env::current_exe()?;
    if ["wharf", "libwharf_plugin_process.so"].iter().all(|name| own.with_file_name(name).is_file()) {
        return Ok(());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let release = (!cfg!(debug_assertions)).then_some("--release");
    let built = Command::new(cargo).args(["build", "--workspace"]).args(release).status()?;
    if built.success() { Ok(()) } else { Err("the workspace cannot be built".into()) }
}

fn starts(host: &Host) -> Result<(f64, f64)> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let running = Running::start(host)?;
        with.push(running.took.as_secs_f64() * 1e3);
        running.remove(host);
        without.push(by_hand()?.as_secs_f64() * 1e3);
    }
    Ok((median(with), median(without)))
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
            wharf.push(measured(&load, &running.address, &[running.supervisor, running.server])?);
            axum.push(measured(&load, &bare.address, &[bare.pid()])?);
            if clients == 1 {
                stdio.push(stdio_alone(payload, LASTS)?);
            }
        }
    }
    let mut rows = Vec::new();
    for ((clients, payload_bytes), targets) in LOADS.into_iter().zip(&rounds) {
        let floor = Sample::median(&targets[1]).per_second;
        for (target, samples) in TARGETS.into_iter().zip(targets).filter(|(_, samples)| !samples.is_empty()) {
            let sample = Sample::median(samples);
            rows.push(Requests { target, clients, payload_bytes, sample, ratio: sample.per_second / floor });
        }
    }
    Ok(rows)
}

/// A load, and the processor time that these processes spent on each of its requests.
fn measured(load: &Load, address: &str, pids: &[u32]) -> Result<Sample> {
    let spent = || pids.iter().map(|pid| cpu_time(*pid)).sum::<std::io::Result<Duration>>();
    let before = spent()?;
    let mut sample = load.run(address)?;
    sample.cpu_us = (spent()? - before).as_secs_f64() * 1e6 / sample.requests as f64;
    Ok(sample)
}

/// The middle one; of an even number the upper of the two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(report: &Report) {
    println!("Requests: medians of {ROUNDS} rounds in turns. CPU: of the servers, for each request.");
    println!("clients  payload  target          per s    p50 ms    p99 ms    CPU µs    ratio");
    for Requests { target, clients, payload_bytes, sample, ratio } in &report.requests {
        let Sample { per_second, p50_us, p99_us, cpu_us, .. } = sample;
        let (p50, p99) = (p50_us / 1e3, p99_us / 1e3);
        println!(
            "{clients:>7} {payload_bytes:>8}  {target:<11} {per_second:>9.0} {p50:>9.3} {p99:>9.3} {cpu_us:>9.1} {ratio:>8.2}"
        );
    }
    println!("\nReady, medians of {STARTS} starts in turns");
    println!("wharf run {:>15.1} ms\nserver by hand {:>10.1} ms", report.wharf_run_ms, report.by_hand_ms);
    println!("\nMemory in KiB  when               PSS     anon     file      RSS  threads");
    for Kept { process, when, memory } in &report.memory {
        let Memory { pss_kib, pss_anon_kib, pss_file_kib, rss_kib, threads } = memory;
        println!(
            "{process:<14} {when:<14} {pss_kib:>7} {pss_anon_kib:>8} {pss_file_kib:>8} {rss_kib:>8} {threads:>8}"
        );
    }
}
