//! Many runs that are begun at the same moment, beside as many of the engine's own client.
use super::Side;
use crate::Result;
use serde::Serialize;
use serde_json::{Value, to_value};
use std::{
    io,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use wharf_tests::engines::DEMO_IMAGE;

const RUNS: usize = 40;

#[derive(Serialize)]
struct Row {
    engine: &'static str,
    runs: usize,
    /// From the first begin to the last `wharf run` that is ready.
    wharf_all_ready_ms: f64,
    /// The same with the client, whose runs end as soon as the container is started.
    client_all_started_ms: f64,
}

/// Measures it on all engines, once: it shows whether a busy engine is waited for.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(super) fn measure(sides: &[Side]) -> Result<Value> {
    println!("{RUNS} runs at once, until the last one is there, in ms");
    println!("engine  wharf run, ready  its client, started");
    let mut rows = Vec::new();
    for side in sides {
        let ours = all(|number| {
            let name = format!("many-{number}");
            side.host.command(&["run", "--quiet", "--runtime", side.name(), "--name", &name, DEMO_IMAGE])
        })?;
        side.host.ok(&["rm", "--all", "--timeout", "0"]);
        let name = |number: usize| format!("theirs-{number}");
        let theirs = all(|number| {
            let own = name(number);
            let run = ["run", "--detach", "--publish", "127.0.0.1::8080", "--name", &own];
            let server = [DEMO_IMAGE, "--host", "0.0.0.0", "--port", "8080"];
            side.engine.command(&[&run[..], &server].concat())
        })?;
        let names: Vec<String> = (0..RUNS).map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // The servers have no ear for the signal that asks them to end.
        side.engine.client(&[&["kill"], &names[..]].concat());
        side.engine.client(&[&["rm", "--force"], &names[..]].concat());
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let row = Row {
            engine: side.name(),
            runs: RUNS,
            wharf_all_ready_ms: ms(ours),
            client_all_started_ms: ms(theirs),
        };
        println!("{:<7} {:>16.0} {:>20.0}", row.engine, row.wharf_all_ready_ms, row.client_all_started_ms);
        rows.push(row);
    }
    Ok(to_value(rows)?)
}

/// Begins all of them, and waits for the last.
fn all(command: impl Fn(usize) -> Command) -> Result<Duration> {
    let began = Instant::now();
    let begin = |number| command(number).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let begun = (0..RUNS).map(begin).collect::<io::Result<Vec<Child>>>()?;
    for run in begun {
        let said = run.wait_with_output()?;
        if !said.status.success() {
            return Err(String::from_utf8_lossy(&said.stderr).into_owned().into());
        }
    }
    Ok(began.elapsed())
}
