//! A server that is started without wharf, and spoken to over its stdin and stdout.
use crate::{
    Result, START_WAIT,
    list::Server,
    place::Place,
    report::brief,
    tools::{Started, settled},
};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

/// The longest message that is read.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Lines that may wait for their reader.
const LINES_WAITING: usize = 4;
/// Of what it says on standard error, the end is kept.
const LAST_WORDS_BYTES: usize = 300;
/// How long that may take to be read once the server was killed.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(10);

/// Starts a server, lists its tools, and ends it.
pub(crate) fn start(place: &Place, server: &Server) -> Result<Started> {
    let mut command = place.direct(server)?;
    let began = Instant::now();
    let (mut session, last_words) = Session::open(&mut command)?;
    let started = list(&mut session, began);
    drop(session);
    // Those that left the group of the session.
    for straggler in place.host.processes() {
        place.host.kill_own(straggler);
    }
    started.map_err(|error| {
        let said = last_words.recv_timeout(LAST_WORDS_WAIT).unwrap_or_default();
        let said = brief(&String::from_utf8_lossy(&said));
        if said.is_empty() { error } else { format!("{error}; it said: {said}").into() }
    })
}

fn list(session: &mut Session, began: Instant) -> Result<Started> {
    session.request("initialize", &handshake())?;
    let ready = began.elapsed();
    session.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))?;
    let tools = settled(|params| session.request("tools/list", params))?;
    Ok(Started { ready, tools })
}

/// What the proxy says to a server (docs/mcp.md, 4.1 and 12.1): a server may have other tools for other clients.
fn handshake() -> Value {
    json!({
        "protocolVersion": "2025-11-25",
        "capabilities": { "sampling": {}, "elicitation": { "form": {}, "url": {} } },
        "clientInfo": { "name": "wharf", "version": "0" },
    })
}

/// A server and its only client; the server is killed when it is dropped, with all of its process group.
struct Session {
    process: Child,
    input: ChildStdin,
    lines: Receiver<Vec<u8>>,
    until: Instant,
    next_id: u64,
}

impl Session {
    /// The session, and where the server's last words come when it has ended.
    fn open(command: &mut Command) -> io::Result<(Self, Receiver<Vec<u8>>)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.process_group(0).spawn().map_err(|error| {
            io::Error::other(format!("{} cannot be run: {error}", command.get_program().display()))
        })?;
        let pipes = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(io::Error::other("it has no pipes"));
        };
        let (sender, lines) = sync_channel(LINES_WAITING);
        thread::spawn(move || read(output, &sender));
        let (sender, last_words) = sync_channel(1);
        // Nobody waits for them if all went well.
        thread::spawn(move || sender.send(end_of(errors)));
        let until = Instant::now() + START_WAIT;
        Ok((Self { process, input, lines, until, next_id: 0 }, last_words))
    }

    fn send(&mut self, message: &Value) -> io::Result<()> {
        self.input.write_all(format!("{message}\n").as_bytes())
    }

    /// One request and its result. What is no message is passed over, as the proxy does before the handshake.
    fn request(&mut self, method: &str, params: &Value) -> Result<Value> {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(&request).map_err(|error| format!("{method} cannot be asked: {error}"))?;
        loop {
            // A server that never stops talking has no more time than a silent one.
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("{method} was not answered within {} s", START_WAIT.as_secs()).into());
            }
            let line = self.lines.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => {
                    format!("{method} was not answered within {} s", START_WAIT.as_secs())
                }
                RecvTimeoutError::Disconnected => format!("it ended before it answered {method}"),
            })?;
            let Ok(message) = serde_json::from_slice::<Value>(&line) else { continue };
            if message["method"].is_string() {
                self.answer(&message)?;
            } else if message["id"] == json!(id) {
                let refused = || format!("{method} was refused: {}", brief(&message["error"].to_string()));
                return Ok(message.get("result").cloned().ok_or_else(refused)?);
            }
        }
    }

    /// Answers what the server asks: it may want to know whether anybody is there, and gets nothing else.
    fn answer(&mut self, message: &Value) -> io::Result<()> {
        let Some(id) = message.get("id") else { return Ok(()) };
        let answer = match message["method"].as_str() {
            Some("ping") => json!({ "jsonrpc": "2.0", "id": id, "result": {} }),
            _ => {
                let error = json!({ "code": -32601, "message": "this client answers nothing" });
                json!({ "jsonrpc": "2.0", "id": id, "error": error })
            }
        };
        self.send(&answer)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

/// Passes lines on, until there is no more or nobody who wants them.
fn read(output: ChildStdout, to: &SyncSender<Vec<u8>>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let read = output.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) || to.send(line).is_err() {
            return;
        }
    }
}

/// Reads to the end, and keeps the last bytes.
fn end_of(mut errors: ChildStderr) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = errors.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..read]);
        kept.drain(..kept.len().saturating_sub(LAST_WORDS_BYTES));
    }
    kept
}
