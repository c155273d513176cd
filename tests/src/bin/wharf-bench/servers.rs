//! The servers: one tool, as a stdio server and as a bare axum server, and the floors that are measured with them.
//! Both run in children of this binary and answer with the same function.
use crate::client::{INITIALIZE, Sample, call};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderName, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::post,
};
use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

/// The argument that makes this binary the stdio server.
pub(crate) const ECHO: &str = "--echo-server";
/// The argument that makes this binary the bare server.
pub(crate) const BARE: &str = "--bare-server";

/// More than any message: one read and one write each, as far as a pipe takes it.
const BUFFER: usize = 256 * 1024;

/// Answers one message; nothing where it wants none. It knows what this bench sends, and parses no more than that.
fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let after =
        |name: &[u8]| message.windows(name.len()).position(|part| part == name).map(|at| at + name.len());
    let id = &message[after(b"\"id\":")?..];
    let id = &id[..id.iter().position(|byte| matches!(byte, b',' | b'}'))?];
    let result: &[&[u8]] = match after(b"\"text\":\"") {
        Some(text) => {
            // The text consists only of this letter; the bytes after it depend on the writer of the message.
            let end = message.iter().rposition(|byte| *byte == b'x')? + 1;
            &[br#"{"content":[{"type":"text","text":""#, &message[text..end], br#""}]}"#]
        }
        None if after(b"\"tools/list\"").is_some() => {
            &[br#"{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}"#]
        }
        None => &[
            br#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"#,
            br#""serverInfo":{"name":"echo","version":"0"}}"#,
        ],
    };
    Some([br#"{"jsonrpc":"2.0","id":"#, id, br#","result":"#, &result.concat(), b"}"].concat())
}

/// The stdio server.
pub(crate) fn echo() -> io::Result<()> {
    let mut input = BufReader::with_capacity(BUFFER, io::stdin().lock());
    let mut output = io::stdout().lock();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if let Some(mut answer) = answer(&line) {
            answer.push(b'\n');
            output.write_all(&answer)?;
            output.flush()?;
        }
        line.clear();
    }
    Ok(())
}

/// The bare server; prints its address. One thread, as a supervisor has for its clients.
pub(crate) fn bare() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let respond = |body: Bytes| async move {
            let headers =
                [(CONTENT_TYPE, "application/json"), (HeaderName::from_static("mcp-session-id"), "bare")];
            (headers, answer(&body).unwrap_or_default()).into_response()
        };
        // In a pod it is told where to listen.
        let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0);
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        let mut output = io::stdout();
        writeln!(output, "{}", listener.local_addr()?)?;
        output.flush()?;
        let router = Router::new().route("/mcp", post(respond).delete(async || ()));
        axum::serve(
            axum::serve::ListenerExt::tap_io(listener, |socket| drop(socket.set_nodelay(true))),
            router,
        )
        .await
    })
}

/// A child with one of the two roles; killed when it is dropped.
pub(crate) struct Child {
    process: Process,
    /// The address of the bare server.
    pub(crate) address: String,
}

impl Child {
    fn start(role: &str) -> io::Result<(Self, ChildStdin, BufReader<ChildStdout>)> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("the child has no pipes"));
        };
        Ok((Self { process, address: String::new() }, input, BufReader::with_capacity(BUFFER, output)))
    }

    /// A bare server that listens.
    pub(crate) fn bare() -> io::Result<Self> {
        let (mut child, _, mut output) = Self::start(BARE)?;
        output.read_line(&mut child.address)?;
        child.address = child.address.trim().to_owned();
        Ok(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How long the stdio server takes from its start to its answer to `initialize`.
pub(crate) fn by_hand() -> io::Result<Duration> {
    let began = Instant::now();
    let (_child, mut input, mut output) = Child::start(ECHO)?;
    input.write_all(format!("{INITIALIZE}\n").as_bytes())?;
    let mut line = String::new();
    output.read_line(&mut line)?;
    if line.contains("protocolVersion") { Ok(began.elapsed()) } else { Err(io::Error::other("no answer")) }
}

/// The stdio server alone, one call after the other over its pipes.
pub(crate) fn stdio_alone(payload: usize, lasts: Duration) -> io::Result<Sample> {
    let (child, mut input, mut output) = Child::start(ECHO)?;
    let (mut asked, answered) = call(1, &"x".repeat(payload));
    asked.push('\n');
    let mut line = Vec::new();
    let mut times = Vec::with_capacity(1 << 15);
    let mut spent = Duration::ZERO;
    let began = Instant::now();
    let mut now = began;
    while now - began < lasts {
        input.write_all(asked.as_bytes())?;
        line.clear();
        output.read_until(b'\n', &mut line)?;
        if line.strip_suffix(b"\n") != Some(answered.as_bytes()) {
            return Err(io::Error::other("a wrong answer of the stdio server"));
        }
        let after = Instant::now();
        times.push(after - now);
        now = after;
        spent = after - began;
    }
    let mut sample = Sample::new(times, spent);
    sample.cpu_us = crate::host::cpu_time(child.pid())?.as_secs_f64() * 1e6 / sample.requests as f64;
    Ok(sample)
}
