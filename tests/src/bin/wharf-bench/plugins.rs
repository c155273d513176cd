//! The cost of the border to a plugin: a call across it beside the same call linked in, and the load of a library.
use crate::{Result, median, milliseconds};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::{
    hint::black_box,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Handle};
use wharf_runtimes::{Plugins, Prober, Verdicts};
use wharf_sdk::Health;
use wharf_tests::HOST_ID;
use wharf_tests::Rack;

/// Calls of one batch, and batches in turns.
const CALLS: u32 = 5_000;
const BATCHES: usize = 11;
const LOADS: usize = 15;

#[derive(Serialize)]
struct Border {
    /// `health` of a loaded plugin, from the call to its answer.
    call_us: f64,
    /// The same function in this binary.
    linked_us: f64,
    /// An empty task on another thread that waits for one on a third: what keeps a plugin that blocks from blocking
    /// the host, and its own reactor from being the host's. The rest of a call is documents and their checks.
    handoffs_us: f64,
    /// 64 bytes over a socket to another thread and back: two handoffs, and the least that a plugin in a process of
    /// its own would cost on this machine.
    socket_us: f64,
    /// Search, check, copy, try in a child process, map and connect: once for each library on a machine.
    never_seen_ms: f64,
    /// Search, check, find the copy and the verdict, map and connect: in each later process.
    seen_ms: f64,
    /// Another library that was seen, in the same process.
    further_ms: f64,
}

/// Measures both.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(crate) fn measure() -> Result<Value> {
    let waiting = Builder::new_current_thread().enable_all().build()?;
    let [call_us, linked_us, handoffs_us] = waiting.block_on(calls())?;
    let socket_us = socket()?;
    let (mut never_seen, mut seen, mut further) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..LOADS {
        let rack = Rack::with(&PLUGINS);
        never_seen.push(loaded(&rack)?.0);
        let (first, second) = loaded(&rack)?;
        seen.push(first);
        further.push(second);
    }
    let (never_seen_ms, seen_ms, further_ms) = (median(never_seen), median(seen), median(further));
    let border = Border { call_us, linked_us, handoffs_us, socket_us, never_seen_ms, seen_ms, further_ms };
    println!("A call of a plugin, medians of {BATCHES} times {CALLS} in turns");
    println!("across the border {call_us:>8.2} µs\nlinked in {linked_us:>16.2} µs");
    println!("threads alone {handoffs_us:>12.2} µs");
    println!("a socket {socket_us:>17.2} µs");
    println!("\nThe load of a plugin, medians of {LOADS} processes");
    println!("never seen here {never_seen_ms:>10.2} ms\nseen before {seen_ms:>14.2} ms");
    println!("a further one {further_ms:>12.2} ms");
    Ok(to_value(border)?)
}

/// The plugin `beta`'s answer to the same question.
async fn health() -> Health {
    Health::undetected("there is no engine").with_remedy("make one")
}

async fn calls() -> Result<[f64; 3]> {
    let rack = Rack::with(&["beta"]);
    let plugins = rack.host();
    let client = plugins.connect("beta", None, HOST_ID).await?;
    let (plugin_thread, tokio_thread) = (thread()?, thread()?);
    let (mut across, mut linked, mut handoffs) = (Vec::new(), Vec::new(), Vec::new());
    let each = |took: Duration| took.as_secs_f64() * 1e6 / f64::from(CALLS);
    for _ in 0..BATCHES {
        let began = Instant::now();
        for _ in 0..CALLS {
            black_box(client.health().await?);
        }
        across.push(each(began.elapsed()));
        let began = Instant::now();
        for _ in 0..CALLS {
            black_box(health().await);
        }
        linked.push(each(began.elapsed()));
        let began = Instant::now();
        for _ in 0..CALLS {
            let tokio_thread = tokio_thread.clone();
            plugin_thread.spawn(async move { tokio_thread.spawn(async {}).await }).await??;
        }
        handoffs.push(each(began.elapsed()));
    }
    Ok([median(across), median(linked), median(handoffs)])
}

fn socket() -> std::io::Result<f64> {
    let (mut near, mut far) = UnixStream::pair()?;
    std::thread::Builder::new().spawn(move || -> std::io::Result<()> {
        let mut bytes = [0; 64];
        loop {
            far.read_exact(&mut bytes)?;
            far.write_all(&bytes)?;
        }
    })?;
    let mut bytes = [0; 64];
    let mut rounds = Vec::new();
    for _ in 0..BATCHES {
        let began = Instant::now();
        for _ in 0..CALLS {
            near.write_all(&bytes)?;
            near.read_exact(&mut bytes)?;
        }
        rounds.push(began.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
    }
    Ok(median(rounds))
}

/// A thread that only runs the futures that it is given.
fn thread() -> std::io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new().spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}

/// The plugins whose loads are measured, in this order.
const PLUGINS: [&str; 2] = ["alpha", "beta"];

/// How long the two plugins took to load in a new process, in milliseconds. Nothing that was loaded is ever unloaded, so
/// each load needs a process of its own.
fn loaded(rack: &Rack) -> Result<(f64, f64)> {
    let output = Command::new(std::env::current_exe()?).arg(LOAD).arg(rack.path()).output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The argument that makes this binary load the plugins of a rack and print how long each took.
pub(crate) const LOAD: &str = "--load-plugins";

/// Loads the two plugins of a rack, one after the other, as a command does: what is in the rack's cache counts.
#[expect(clippy::print_stdout, reason = "it is what the parent reads")]
pub(crate) fn load(rack: &str) -> Result<()> {
    let waiting = Builder::new_current_thread().enable_all().build()?;
    let (plugins, data) = (Path::new(rack).join("plugins"), Path::new(rack).join("data"));
    let mut options = wharf_tests::options(&plugins, &data);
    let verdicts = Verdicts::below(&data.join("cache"));
    options.prober = Some(Prober::new(std::env::current_exe()?.with_file_name("wharf"), verdicts));
    let mut times = Vec::new();
    for name in PLUGINS {
        let began = Instant::now();
        waiting.block_on(Plugins::new(options.clone()).connect(name, None, HOST_ID))?;
        times.push(milliseconds(&[began.elapsed()]));
    }
    println!("{}", serde_json::to_string(&times)?);
    Ok(())
}
