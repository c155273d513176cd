//! The cost of the border to a plugin: a call across it beside the same call linked in, and the load of a library.
use crate::{Result, median, milliseconds};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::{
    hint::black_box,
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Handle};
use wharf_runtimes::Plugins;
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
    /// Search, check, map and connect.
    first_load_ms: f64,
    /// Another library in the same process.
    further_load_ms: f64,
}

/// Measures both.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(crate) fn measure() -> Result<Value> {
    let waiting = Builder::new_current_thread().enable_all().build()?;
    let [call_us, linked_us, handoffs_us] = waiting.block_on(calls())?;
    let socket_us = socket()?;
    let (mut first, mut further) = (Vec::new(), Vec::new());
    for _ in 0..LOADS {
        // A process of its own: nothing that was loaded is ever unloaded.
        let output = std::process::Command::new(std::env::current_exe()?).arg(LOAD).output()?;
        let times: (f64, f64) = serde_json::from_slice(&output.stdout)?;
        first.push(times.0);
        further.push(times.1);
    }
    let (first_load_ms, further_load_ms) = (median(first), median(further));
    let border = Border { call_us, linked_us, handoffs_us, socket_us, first_load_ms, further_load_ms };
    println!("A call of a plugin, medians of {BATCHES} times {CALLS} in turns");
    println!("across the border {call_us:>8.2} µs\nlinked in {linked_us:>16.2} µs");
    println!("threads alone {handoffs_us:>12.2} µs");
    println!("a socket {socket_us:>17.2} µs");
    println!("\nThe load of a plugin, medians of {LOADS} processes");
    println!("the first {first_load_ms:>16.2} ms\na further one {further_load_ms:>12.2} ms");
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
    let (lane, world) = (thread()?, thread()?);
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
            let world = world.clone();
            lane.spawn(async move { world.spawn(async {}).await }).await??;
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

/// The argument that makes this binary load two plugins and print how long each took.
pub(crate) const LOAD: &str = "--load-plugins";

/// Loads two libraries, one after the other.
#[expect(clippy::print_stdout, reason = "it is what the parent reads")]
pub(crate) fn load() -> Result<()> {
    let waiting = Builder::new_current_thread().enable_all().build()?;
    let racks = [Rack::with(&["alpha"]), Rack::with(&["beta"])];
    let mut times = Vec::new();
    for (rack, name) in racks.iter().zip(["alpha", "beta"]) {
        let began = Instant::now();
        waiting.block_on(Plugins::new(rack.options()).connect(name, None, HOST_ID))?;
        times.push(milliseconds(&[began.elapsed()]));
    }
    println!("{}", serde_json::to_string(&times)?);
    Ok(())
}
