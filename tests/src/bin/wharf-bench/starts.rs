//! `wharf run` until the workload is ready, beside starting the same server by hand.
use crate::{Result, host::Running, milliseconds, servers::by_hand};
use serde::Serialize;
use serde_json::{Value, to_value};
use wharf_tests::host::Host;

/// Starts are short and vary more than loads.
const STARTS: usize = 15;

#[derive(Serialize)]
struct Starts {
    /// From the start of `wharf run` to its end: the URL has been printed.
    wharf_run_ms: f64,
    /// From the start of the server to its answer to `initialize`.
    by_hand_ms: f64,
}

/// Measures both.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(crate) fn measure() -> Result<Value> {
    let host = Host::new();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let running = Running::start(&host, &[])?;
        with.push(running.took);
        running.remove(&host);
        without.push(by_hand()?);
    }
    let starts = Starts { wharf_run_ms: milliseconds(&with), by_hand_ms: milliseconds(&without) };
    println!("Ready, medians of {STARTS} starts in turns");
    println!("wharf run {:>15.1} ms\nserver by hand {:>10.1} ms", starts.wharf_run_ms, starts.by_hand_ms);
    Ok(to_value(starts)?)
}
