//! `wharf list --all` with many containers of ours beside the client's `ps --all`, whole processes; the requests of a list
//! to its engine; and how long the engine takes for these when they are made by hand.
use super::Side;
use crate::{Result, listing::took, milliseconds};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};
use wharf_tests::tap::Tap;

const CONTAINERS: usize = 100;
/// Made at once.
const MAKERS: usize = 2;
const ROUNDS: usize = 15;
/// The number of times that a list is compared with the one before.
const TRIES: usize = 20;

#[derive(Serialize)]
struct Row {
    engine: &'static str,
    containers: usize,
    wharf_list_ms: f64,
    client_ps_ms: f64,
    /// The requests of one list.
    requests: usize,
    /// The same requests, by hand.
    engine_alone_ms: f64,
    /// `wharf version`: a process that asks nobody.
    start_alone_ms: f64,
}

/// Measures it on all engines.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(super) fn measure(sides: &[Side]) -> Result<Value> {
    let mut asked = Vec::new();
    for side in sides {
        make(side);
        asked.push(requests(side)?);
    }
    let mut times = vec![[const { Vec::new() }; 4]; sides.len()];
    for _ in 0..ROUNDS {
        for ((side, asked), [list, ps, alone, start]) in sides.iter().zip(&asked).zip(&mut times) {
            list.push(took(&mut side.host.command(&["list", "--all"]))?);
            ps.push(took(&mut side.engine.command(&["ps", "--all"]))?);
            alone.push(by_hand(side, asked)?);
            start.push(took(&mut side.host.command(&["version"]))?);
        }
    }
    println!("{CONTAINERS} containers, medians of {ROUNDS} processes in turns, in ms");
    println!("engine  list --all  its client's ps --all  requests  these by hand  wharf version");
    let mut rows = Vec::new();
    for ((side, asked), [list, ps, alone, start]) in sides.iter().zip(&asked).zip(&times) {
        let row = Row {
            engine: side.name(),
            containers: CONTAINERS,
            wharf_list_ms: milliseconds(list),
            client_ps_ms: milliseconds(ps),
            requests: asked.len(),
            engine_alone_ms: milliseconds(alone),
            start_alone_ms: milliseconds(start),
        };
        let Row { engine, wharf_list_ms, client_ps_ms, requests, engine_alone_ms, start_alone_ms, .. } = row;
        println!(
            "{engine:<7} {wharf_list_ms:>10.1} {client_ps_ms:>22.1} {requests:>9} {engine_alone_ms:>14.1} {start_alone_ms:>14.1}"
        );
        rows.push(row);
    }
    for side in sides {
        side.host.ok(&["rm", "--all"]);
    }
    Ok(to_value(rows)?)
}

/// All of them running on stdio, each with its supervisor.
fn make(side: &Side) {
    std::thread::scope(|scope| {
        for maker in 0..MAKERS {
            scope.spawn(move || {
                for number in (maker..CONTAINERS).step_by(MAKERS) {
                    side.run(&format!("bench-{number}"), &[]);
                }
            });
        }
    });
}

/// The requests of one list to its engine, once supervisors that have just begun make no more.
fn requests(side: &Side) -> Result<Vec<String>> {
    let tap = Tap::before(&side.engine.socket());
    side.lead_to(&tap.socket())?;
    let mut asked = one_list(side, &tap)?;
    for _ in 0..TRIES {
        let again = one_list(side, &tap)?;
        if again == asked {
            side.lead_to(&side.engine.socket())?;
            return Ok(asked);
        }
        asked = again;
    }
    Err("supervisors do not come to rest".into())
}

/// The requests during a list, which must show all workloads.
fn one_list(side: &Side, tap: &Tap) -> Result<Vec<String>> {
    drop(tap.requests());
    let rows = side.host.list();
    let fresh = rows.iter().filter(|row| row["status"] == "running" && row.get("stale").is_none()).count();
    if fresh != CONTAINERS {
        return Err(format!("{fresh} of {CONTAINERS} containers are listed as running").into());
    }
    Ok(tap.requests())
}

/// Asks the same, one after the other, and makes nothing of the answers.
fn by_hand(side: &Side, requests: &[String]) -> Result<Duration> {
    let began = Instant::now();
    for request in requests {
        let mut socket = UnixStream::connect(side.engine.socket())?;
        write!(socket, "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer)?;
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(format!("{request}: {}", String::from_utf8_lossy(&answer)).into());
        }
    }
    Ok(began.elapsed())
}
