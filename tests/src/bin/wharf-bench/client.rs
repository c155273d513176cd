//! The client of all loads: HTTP/1.1 by hand over blocking sockets, a thread for each connection, so that the client itself
//! costs as little as possible.
use crate::median;
use serde::Serialize;
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// The first id. All have seven digits: requests differ in nothing else, and are not built anew.
const FIRST_ID: u64 = 1_000_000;
/// The request that opens a session.
pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"wharf-bench","version":"0"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A load: so many clients, each with one connection and one request at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) payload: usize,
    pub(crate) lasts: Duration,
}

/// The figures of a load.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Processor time of the servers for each request.
    pub(crate) cpu_us: f64,
}

impl Sample {
    /// From the times of single requests.
    pub(crate) fn new(mut times: Vec<Duration>, lasted: Duration) -> Self {
        times.sort();
        let at = |share: f64| {
            times.get((times.len() as f64 * share) as usize).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
        };
        let per_second = times.len() as f64 / lasted.as_secs_f64();
        Self { requests: times.len(), per_second, p50_us: at(0.5), p99_us: at(0.99), cpu_us: f64::NAN }
    }

    /// Each figure's median on its own.
    pub(crate) fn median(samples: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(samples.iter().map(figure).collect());
        Self {
            requests: samples.iter().map(|sample| sample.requests).sum(),
            per_second: of(|sample| sample.per_second),
            p50_us: of(|sample| sample.p50_us),
            p99_us: of(|sample| sample.p99_us),
            cpu_us: of(|sample| sample.cpu_us),
        }
    }
}

impl Load {
    /// Runs it against a server.
    pub(crate) fn run(&self, target: &str) -> io::Result<Sample> {
        let mut connections = Vec::new();
        for _ in 0..self.clients {
            let mut connection = Connection::open(target)?;
            connection.prepare(self.payload);
            // The first call costs more, so it is not measured.
            connection.call()?;
            connections.push(connection);
        }
        let began = Instant::now();
        let times = std::thread::scope(|scope| {
            let lasts = self.lasts;
            let threads: Vec<_> = connections
                .iter_mut()
                .map(|connection| scope.spawn(move || connection.calls(began + lasts)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a client panicked"))))
                .collect::<io::Result<Vec<_>>>()
        })?;
        let lasted = began.elapsed();
        connections.iter_mut().try_for_each(Connection::close)?;
        Ok(Sample::new(times.concat(), lasted))
    }
}

/// The call of the tool, and the answer that must come.
pub(crate) fn call(id: u64, text: &str) -> (String, String) {
    let asked = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{text}"}}}}}}"#
    );
    let answered = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
    );
    (asked, answered)
}

struct Connection {
    socket: TcpStream,
    /// The head of every request, up to its length.
    head: String,
    session: String,
    next_id: u64,
    request: Vec<u8>,
    expected: Vec<u8>,
    received: Vec<u8>,
}

impl Connection {
    /// To what follows `http://` in a URL.
    fn open(target: &str) -> io::Result<Self> {
        let (address, path) = target.split_once('/').unwrap_or((target, ""));
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let head = format!(
            "POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        );
        let mut connection = Self {
            socket,
            head,
            session: String::new(),
            next_id: FIRST_ID,
            request: Vec::new(),
            expected: Vec::new(),
            received: vec![0; 256 * 1024],
        };
        connection.post(INITIALIZE);
        let (head, _) = connection.exchange()?;
        let head = String::from_utf8_lossy(&connection.received[..head]).into_owned();
        let session =
            header(&head, "mcp-session-id").ok_or_else(|| io::Error::other("no session was opened"))?;
        connection.session = session.to_owned();
        let more = format!("Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: 2025-06-18\r\n");
        connection.head.push_str(&more);
        connection.post(INITIALIZED);
        connection.exchange()?;
        Ok(connection)
    }

    fn post(&mut self, body: &str) {
        self.request = format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len()).into_bytes();
    }

    /// Makes the request that is repeated, and its answer.
    fn prepare(&mut self, payload: usize) {
        let (asked, answered) = call(FIRST_ID, &"x".repeat(payload));
        self.post(&asked);
        self.expected = answered.into_bytes();
    }

    fn calls(&mut self, until: Instant) -> io::Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(1 << 15);
        let mut now = Instant::now();
        while now < until {
            self.call()?;
            let after = Instant::now();
            times.push(after - now);
            now = after;
        }
        Ok(times)
    }

    /// One call, its answer compared byte for byte.
    fn call(&mut self) -> io::Result<()> {
        let id = self.next_id.to_string();
        self.next_id += 1;
        for text in [&mut self.request, &mut self.expected] {
            const BEFORE: &[u8] = b"\"id\":";
            let place =
                text.windows(BEFORE.len()).position(|part| part == BEFORE).map(|at| at + BEFORE.len());
            let place = place.ok_or_else(|| io::Error::other("there is no id"))?;
            text[place..place + id.len()].copy_from_slice(id.as_bytes());
        }
        let (head, end) = self.exchange()?;
        if self.received[head..end] != self.expected {
            let text = String::from_utf8_lossy(&self.received[..end.min(600)]);
            return Err(io::Error::other(format!("a wrong answer: {text}")));
        }
        Ok(())
    }

    /// Sends the request and reads the answer; where its body begins and ends.
    fn exchange(&mut self) -> io::Result<(usize, usize)> {
        self.socket.write_all(&self.request)?;
        let mut filled = 0;
        loop {
            let read = self.socket.read(&mut self.received[filled..])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // The end of the head may lie across the border of two reads.
            filled += read;
            let known = &self.received[..filled];
            let Some(head) = known.windows(4).position(|part| part == b"\r\n\r\n").map(|at| at + 4) else {
                continue;
            };
            let text = std::str::from_utf8(&known[..head]).map_err(io::Error::other)?;
            let length = header(text, "content-length")
                .map_or(Ok(0), str::parse::<usize>)
                .map_err(io::Error::other)?;
            if !text.starts_with("HTTP/1.1 2") {
                return Err(io::Error::other(format!("refused: {text}")));
            }
            let end = head + length;
            if end > self.received.len() {
                return Err(io::Error::other("the answer is too long"));
            }
            if filled > end {
                // An answer that takes seconds becomes a stream of events.
                return Err(io::Error::other(format!("no plain answer: {text}")));
            }
            self.socket.read_exact(&mut self.received[filled..end])?;
            return Ok((head, end));
        }
    }

    /// Ends the session, so that no round finds those of earlier ones.
    fn close(&mut self) -> io::Result<()> {
        self.request = self.head.replacen("POST", "DELETE", 1).into_bytes();
        self.request.extend_from_slice(b"\r\n");
        self.exchange().map(drop)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let of = |line: &'a str| line.split_once(':').filter(|(known, _)| known.eq_ignore_ascii_case(name));
    head.lines().find_map(of).map(|(_, value)| value.trim())
}
