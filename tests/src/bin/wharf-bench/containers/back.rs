//! An engine that is restarted: how long after it answers again a workload's server answers through its proxy.
use super::Side;
use crate::{Result, milliseconds};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::time::{Duration, Instant};
use wharf_tests::{client::Client, host::EVENT_WAIT};

const RESTARTS: usize = 3;
const NAME: &str = "bench";

#[derive(Serialize)]
struct Row {
    engine: &'static str,
    /// From the first answer of the engine to that of the server.
    answer_ms: f64,
}

/// Measures it on all engines.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(super) fn measure(sides: &mut [Side]) -> Result<Value> {
    println!("From an engine's first answer after its restart to the server's, medians of {RESTARTS}, in ms");
    let mut rows = Vec::new();
    for side in sides {
        let url = side.run(NAME, &[]);
        let mut times = Vec::new();
        for _ in 0..RESTARTS {
            side.engine.stop();
            side.engine.resume();
            let began = Instant::now();
            while let Err(error) = Client::open(&url) {
                if began.elapsed() > EVENT_WAIT {
                    return Err(format!("{url} does not answer: {error}").into());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            times.push(began.elapsed());
        }
        side.host.ok(&["rm", "--timeout", "0", NAME]);
        let row = Row { engine: side.name(), answer_ms: milliseconds(&times) };
        println!("{:<7} {:>8.0}", row.engine, row.answer_ms);
        rows.push(row);
    }
    Ok(to_value(rows)?)
}
