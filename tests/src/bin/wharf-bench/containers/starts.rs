//! `wharf run` until the server answers, beside the engine's client with the same image.
use super::Side;
use crate::{Result, client::INITIALIZE, milliseconds};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::Stdio,
    time::{Duration, Instant},
};
use wharf_tests::{client::Client, engines::DEMO_IMAGE, host::EVENT_WAIT};

const STARTS: usize = 9;
/// The name of the workload, and of the client's container.
const NAME: &str = "bench";

/// Starts a server, and returns how long that took.
type Start = fn(&Side) -> Result<Duration>;

/// How a server is reached, with wharf's start and the client's.
const WAYS: [(&str, Start, Start); 2] = [
    ("port", |side| ours(side, &["--transport", "streamable-http"]), over_a_port),
    ("stdio", |side| ours(side, &[]), over_stdio),
];

#[derive(Serialize)]
struct Row {
    engine: &'static str,
    /// How the server is reached.
    over: &'static str,
    /// From the start of `wharf run` to the server's answer to `initialize` through the proxy.
    wharf_run_ms: f64,
    /// From the start of the client to the server's own answer: `run --detach` with a port, `run --interactive`
    /// without one.
    client_run_ms: f64,
}

/// Measures both ways on all engines.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(super) fn measure(sides: &[Side]) -> Result<Value> {
    let mut times = vec![[const { (Vec::new(), Vec::new()) }; WAYS.len()]; sides.len()];
    for _ in 0..STARTS {
        for (side, times) in sides.iter().zip(&mut times) {
            for ((_, ours, theirs), (with, without)) in WAYS.iter().zip(times) {
                with.push(ours(side)?);
                without.push(theirs(side)?);
            }
        }
    }
    println!("A container until it answers, medians of {STARTS} in turns, in ms");
    println!("engine  over   wharf run  its client   more");
    let mut rows = Vec::new();
    for (side, times) in sides.iter().zip(&times) {
        for ((over, ..), (with, without)) in WAYS.iter().zip(times) {
            let row = Row {
                engine: side.name(),
                over,
                wharf_run_ms: milliseconds(with),
                client_run_ms: milliseconds(without),
            };
            let Row { engine, over, wharf_run_ms, client_run_ms } = row;
            let more = wharf_run_ms - client_run_ms;
            println!("{engine:<7} {over:<6} {wharf_run_ms:>9.0} {client_run_ms:>11.0} {more:>6.0}");
            rows.push(row);
        }
    }
    Ok(to_value(rows)?)
}

fn ours(side: &Side, options: &[&str]) -> Result<Duration> {
    let began = Instant::now();
    let url = side.run(NAME, options);
    until_it_answers(&url)?;
    let took = began.elapsed();
    // The server has no ear for the signal that asks it to end, and all would be waited for.
    side.host.ok(&["rm", "--timeout", "0", NAME]);
    Ok(took)
}

fn over_a_port(side: &Side) -> Result<Duration> {
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let publish = format!("127.0.0.1:{port}:8080");
    let server = [DEMO_IMAGE, "--host", "0.0.0.0", "--port", "8080"];
    let began = Instant::now();
    side.engine.client(&[&["run", "--detach", "--name", NAME, "--publish", &publish], &server[..]].concat());
    until_it_answers(&format!("http://127.0.0.1:{port}/mcp"))?;
    let took = began.elapsed();
    // As above: Podman's own removal would wait.
    side.engine.client(&["kill", NAME]);
    side.engine.client(&["rm", "--force", NAME]);
    Ok(took)
}

fn over_stdio(side: &Side) -> Result<Duration> {
    let mut command = side.engine.command(&["run", "--interactive", "--name", NAME, DEMO_IMAGE]);
    let began = Instant::now();
    let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let (Some(mut input), Some(output)) = (client.stdin.take(), client.stdout.take()) else {
        return Err("the client has no pipes".into());
    };
    input.write_all(format!("{INITIALIZE}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let took = began.elapsed();
    drop(input);
    client.wait()?;
    side.engine.client(&["rm", "--force", NAME]);
    if line.contains("protocolVersion") { Ok(took) } else { Err(format!("no answer: {line}").into()) }
}

/// Engines accept connections in the place of servers that do not listen yet: it is asked until it answers.
fn until_it_answers(url: &str) -> Result<()> {
    let deadline = Instant::now() + EVENT_WAIT;
    while let Err(error) = Client::open(url) {
        if Instant::now() > deadline {
            return Err(format!("{url} does not answer: {error}").into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
