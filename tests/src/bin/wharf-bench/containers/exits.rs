//! How long after `docker kill` the end is on record, with restarts off, beside the engine's own answer to a request that
//! waits for the container's end.
use super::Side;
use crate::{Result, milliseconds};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};
use wharf_records::Watch;
use wharf_tests::host::EVENT_WAIT;

const KILLS: usize = 9;
const NAME: &str = "bench";

#[derive(Serialize)]
struct Row {
    engine: &'static str,
    /// From the start of the client's `kill` to the status file with the end.
    recorded_ms: f64,
    /// From the same moment to the engine's answer to a request that waits for the end.
    told_ms: f64,
}

/// Measures it on all engines.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(super) fn measure(sides: &[Side]) -> Result<Value> {
    let waiting = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut times = vec![(Vec::new(), Vec::new()); sides.len()];
    for _ in 0..KILLS {
        for (side, (recorded, told)) in sides.iter().zip(&mut times) {
            side.run(NAME, &["--restart", "no"]);
            let (record, answer) = waiting.block_on(one(side))?;
            recorded.push(record);
            told.push(answer);
            side.host.ok(&["rm", NAME]);
        }
    }
    println!("From the start of the client's kill, medians of {KILLS} in turns, in ms");
    println!("engine  to the record  to the engine's word   more");
    let mut rows = Vec::new();
    for (side, (recorded, told)) in sides.iter().zip(&times) {
        let row =
            Row { engine: side.name(), recorded_ms: milliseconds(recorded), told_ms: milliseconds(told) };
        let Row { engine, recorded_ms, told_ms } = row;
        println!("{engine:<7} {recorded_ms:>13.1} {told_ms:>21.1} {:>6.1}", recorded_ms - told_ms);
        rows.push(row);
    }
    Ok(to_value(rows)?)
}

async fn one(side: &Side) -> Result<(Duration, Duration)> {
    let container = side.container(NAME)?;
    let mut watch = Watch::new()?;
    watch.folder(&side.host.path("state/statuses"))?;
    let mut socket = UnixStream::connect(side.engine.socket())?;
    let request =
        format!("POST /containers/{container}/wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    let told = tokio::task::spawn_blocking(move || {
        let mut answer = Vec::new();
        // To the last byte, which comes with the end.
        socket.read_to_end(&mut answer).map(|_| (Instant::now(), answer))
    });
    let killed = Instant::now();
    let mut kill = side.engine.command(&["kill", &container]).stdout(std::process::Stdio::null()).spawn()?;
    while side.host.record(NAME)["last_exit"].is_null() {
        tokio::time::timeout(EVENT_WAIT, watch.changed()).await??;
    }
    let recorded = killed.elapsed();
    if !kill.wait()?.success() {
        return Err("the client could not kill it".into());
    }
    let (at, answer) = told.await??;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer.contains("StatusCode") { Ok((recorded, at - killed)) } else { Err(answer.into()) }
}
