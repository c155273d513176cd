//! The proxy beside others that serve a stdio server over HTTP, where they are installed: `supergateway` (npm) and
//! `mcp-proxy` (PyPI). One client for all: it reads every form of answer that the protocol allows, and takes a new
//! connection for each request, so its figures are lower than those of the topic `proxy`.
use crate::{Result, client::Sample, host::Running, servers::ECHO};
use serde::Serialize;
use serde_json::{Value, json, to_value};
use std::{
    io,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use wharf_tests::{
    client::Client,
    host::{EVENT_WAIT, Host},
};

const ROUNDS: usize = 3;
const LASTS: Duration = Duration::from_secs(1);
/// Clients at once, and bytes of each call's argument.
const LOADS: [(usize, usize); 4] = [(1, 32), (1, 64 * 1024), (16, 32), (16, 64 * 1024)];

/// One load on one proxy.
#[derive(Serialize)]
struct Row {
    target: &'static str,
    clients: usize,
    payload_bytes: usize,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    /// Requests per second, as a multiple of this one's: wharf's.
    wharf_is: f64,
}

/// A proxy that is not ours, on the same server; killed when it is dropped.
struct Peer {
    name: &'static str,
    process: Child,
    url: String,
}

impl Peer {
    /// None where it is not installed.
    fn start(name: &'static str) -> Result<Option<Self>> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port().to_string();
        let server = std::env::current_exe()?.display().to_string();
        let mut command = Command::new(name);
        match name {
            "supergateway" => {
                let stdio = format!("{server} {ECHO}");
                command.args(["--stdio", &stdio, "--outputTransport", "streamableHttp", "--stateful"]);
                command.args(["--port", &port, "--logLevel", "none"]);
            }
            _ => {
                command.args(["--host", "127.0.0.1", "--port", &port, "--log-level", "ERROR"]);
                command.args(["--", &server, ECHO]);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            spawned => spawned?,
        };
        let peer = Self { name, process, url: format!("http://127.0.0.1:{port}/mcp") };
        let deadline = Instant::now() + EVENT_WAIT;
        while Client::open(&peer.url).is_err() {
            if Instant::now() > deadline {
                return Err(format!("{name} does not serve").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Some(peer))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Measures them in turns.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(crate) fn measure() -> Result<Value> {
    let mut peers = Vec::new();
    for name in ["supergateway", "mcp-proxy"] {
        match Peer::start(name)? {
            Some(peer) => peers.push(peer),
            None => println!("{name} is not installed."),
        }
    }
    if peers.is_empty() {
        return Ok(json!([]));
    }
    let host = Host::new();
    let running = Running::start(&host, &[])?;
    let ours = ("wharf", format!("http://{}", running.target));
    let theirs = peers.iter().map(|peer| (peer.name, peer.url.clone()));
    let targets: Vec<(&'static str, String)> = std::iter::once(ours).chain(theirs).collect();
    let mut rows = Vec::new();
    for (clients, payload) in LOADS {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); targets.len()];
        for _ in 0..ROUNDS {
            for ((_, url), samples) in targets.iter().zip(&mut samples) {
                samples.push(load(url, clients, payload)?);
            }
        }
        let medians: Vec<Sample> = samples.iter().map(|samples| Sample::median(samples)).collect();
        let Some(wharf) = medians.first().copied() else { continue };
        rows.extend(targets.iter().zip(&medians).map(|((target, _), sample)| Row {
            target,
            clients,
            payload_bytes: payload,
            per_second: sample.per_second,
            p50_us: sample.p50_us,
            p99_us: sample.p99_us,
            wharf_is: wharf.per_second / sample.per_second,
        }));
    }
    running.remove(&host);
    print(&rows);
    Ok(to_value(rows)?)
}

/// Starts this number of clients; each has a session and makes one call after the other.
fn load(url: &str, clients: usize, payload: usize) -> Result<Sample> {
    let text = "x".repeat(payload);
    let mut sessions = (0..clients).map(|_| Client::open(url)).collect::<io::Result<Vec<_>>>()?;
    let began = Instant::now();
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> =
            sessions.iter_mut().map(|session| scope.spawn(|| calls(session, &text, began + LASTS))).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a client panicked"))));
        joined.collect::<io::Result<Vec<_>>>()
    })?;
    Ok(Sample::new(times.concat(), began.elapsed()))
}

fn calls(session: &mut Client, text: &str, until: Instant) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut now = Instant::now();
    while now < until {
        if session.call_tool("echo", json!({ "text": text }))? != text {
            return Err(io::Error::other("a wrong answer"));
        }
        let after = Instant::now();
        times.push(after - now);
        now = after;
    }
    Ok(times)
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn print(rows: &[Row]) {
    println!("Peers: medians of {ROUNDS} rounds in turns, one client for all.");
    println!("clients  payload  target             per s    p50 ms    p99 ms  wharf is");
    for Row { target, clients, payload_bytes, per_second, p50_us, p99_us, wharf_is } in rows {
        let (p50, p99) = (p50_us / 1e3, p99_us / 1e3);
        println!(
            "{clients:>7} {payload_bytes:>8}  {target:<13} {per_second:>10.0} {p50:>9.3} {p99:>9.3} {wharf_is:>8.1}x"
        );
    }
}
