//! What the border to a plugin costs: a call across it beside the same call linked in, and the load of a library.
use crate::{Result, median, milliseconds};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use wharf::plugin::Plugins;
use wharf_sdk::{Health, HealthState};
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
    /// Search, check, map and connect.
    first_load_ms: f64,
    /// Another library in the same process.
    further_load_ms: f64,
}

/// Measures both.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(crate) fn measure() -> Result<Value> {
    let waiting = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (call_us, linked_us) = waiting.block_on(calls())?;
    let (mut first, mut further) = (Vec::new(), Vec::new());
    for _ in 0..LOADS {
        // A process of its own: nothing that was loaded is ever unloaded.
        let output = std::process::Command::new(std::env::current_exe()?).arg(LOAD).output()?;
        let times: (f64, f64) = serde_json::from_slice(&output.stdout)?;
        first.push(times.0);
        further.push(times.1);
    }
    let border =
        Border { call_us, linked_us, first_load_ms: median(first), further_load_ms: median(further) };
    println!("A call of a plugin, medians of {BATCHES} times {CALLS} in turns");
    println!("across the border {call_us:>8.2} µs\nlinked in {linked_us:>16.2} µs");
    println!("\nThe load of a plugin, medians of {LOADS} processes");
    println!(
        "the first {:>16.2} ms\na further one {:>12.2} ms",
        border.first_load_ms, border.further_load_ms
    );
    Ok(to_value(border)?)
}

/// The plugin `beta`'s answer to the same question.
async fn health() -> Health {
    Health { state: HealthState::Undetected, message: "there is no engine".to_owned() }
}

async fn calls() -> Result<(f64, f64)> {
    let rack = Rack::with(&["beta"]);
    let plugins = rack.host();
    let client = plugins.connect("beta", None).await?;
    let (mut across, mut linked) = (Vec::new(), Vec::new());
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
    }
    Ok((median(across), median(linked)))
}

/// The argument that makes this binary load two plugins and tell how long each took.
pub(crate) const LOAD: &str = "--load-plugins";

/// Loads two libraries, one after the other.
#[expect(clippy::print_stdout, reason = "it is what the parent reads")]
pub(crate) fn load() -> Result<()> {
    let waiting = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let racks = [Rack::with(&["alpha"]), Rack::with(&["beta"])];
    let mut times = Vec::new();
    for (rack, name) in racks.iter().zip(["alpha", "beta"]) {
        let began = Instant::now();
        waiting.block_on(Plugins::new(rack.options()).connect(name, None))?;
        times.push(milliseconds(&[began.elapsed()]));
    }
    println!("{}", serde_json::to_string(&times)?);
    Ok(())
}
