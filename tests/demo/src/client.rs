//! A small MCP client over streamable HTTP, for the tests and the demonstration: one connection for each request, written
//! without any library, so that a test sees exactly the bytes on the wire.
use serde_json::{Value, json};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

/// How long nothing may come before the test fails, and how long an answer may take to its end. A stream that is kept alive
/// always has something.
const EVENT_WAIT: Duration = Duration::from_secs(60);
const ANSWER_WAIT: Duration = Duration::from_secs(180);

/// An HTTP response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: String,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The messages of the body: the one of a JSON answer, those of a stream of events.
    pub fn messages(&self) -> Vec<Value> {
        let parse = |text: &str| serde_json::from_str(text).ok();
        if self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            self.body.lines().filter_map(|line| parse(line.strip_prefix("data:")?.trim())).collect()
        } else {
            parse(&self.body).into_iter().collect()
        }
    }
}

/// A client with a session.
#[derive(Debug)]
pub struct Client {
    address: String,
    path: String,
    token: Option<String>,
    session: String,
    next_id: u64,
}

impl Client {
    /// Opens a session at a URL as `wharf run` prints it.
    pub fn open(url: &str) -> io::Result<Self> {
        Self::open_with(url, None)
    }

    /// The same, with a token.
    pub fn open_with(url: &str, token: Option<&str>) -> io::Result<Self> {
        let (address, path) = split(url);
        let mut client = Self {
            address: address.to_owned(),
            path: path.to_owned(),
            token: token.map(str::to_owned),
            session: String::new(),
            next_id: 1,
        };
        let params = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": { "name": "wharf-tests", "version": "0" },
        });
        let response =
            client.send(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }))?;
        client.session = response
            .header("mcp-session-id")
            .ok_or_else(|| io::Error::other(format!("no session: {} {}", response.status, response.body)))?
            .to_owned();
        client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))?;
        Ok(client)
    }

    /// One request and its result.
    #[expect(clippy::needless_pass_by_value, reason = "a call with json!(…) reads better")]
    pub fn request(&mut self, method: &str, params: Value) -> io::Result<Value> {
        let id = self.next_id;
        self.next_id += 1;
        let response =
            self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))?;
        let answer = response.messages().into_iter().find(|message| message["id"] == json!(id));
        match answer {
            Some(answer) if answer.get("result").is_some() => Ok(answer["result"].clone()),
            Some(answer) => Err(io::Error::other(answer["error"].to_string())),
            None => Err(io::Error::other(format!("no answer: {} {}", response.status, response.body))),
        }
    }

    /// Calls a tool and returns the text of its answer.
    #[expect(clippy::needless_pass_by_value, reason = "a call with json!(…) reads better")]
    pub fn call_tool(&mut self, name: &str, arguments: Value) -> io::Result<String> {
        let result = self.request("tools/call", json!({ "name": name, "arguments": arguments }))?;
        Ok(result["content"][0]["text"].as_str().unwrap_or_default().to_owned())
    }

    /// The id of its session.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Ends the session.
    pub fn leave(&self) -> io::Result<Response> {
        http(&self.address, "DELETE", &self.path, &self.headers(), "")
    }

    /// Posts one message with this session's headers.
    pub fn send(&self, message: &Value) -> io::Result<Response> {
        http(&self.address, "POST", &self.path, &self.headers(), &message.to_string())
    }

    fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Accept".to_owned(), "application/json, text/event-stream".to_owned()),
        ];
        if let Some(token) = &self.token {
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        if !self.session.is_empty() {
            headers.push(("Mcp-Session-Id".to_owned(), self.session.clone()));
            headers.push(("MCP-Protocol-Version".to_owned(), "2025-06-18".to_owned()));
        }
        headers
    }
}

/// Address and path of a URL.
///
/// # Panics
/// It is no plain URL.
pub fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").expect("a plain URL");
    rest.split_at(rest.find('/').expect("a path"))
}

/// One HTTP request on a connection of its own, read to its end.
pub fn http(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<Response> {
    exchange(TcpStream::connect(address)?, address, method, path, headers, body)
}

/// The same through a Unix socket.
pub fn http_through(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<Response> {
    exchange(UnixStream::connect(socket)?, "localhost", method, path, headers, body)
}

/// A socket whose reads can be given up.
trait Patient: Read + Write {
    fn wait_at_most(&self, time: Duration) -> io::Result<()>;
}

impl Patient for TcpStream {
    fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

impl Patient for UnixStream {
    fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

/// The answer on a socket, which has an end within [`ANSWER_WAIT`].
struct Answer<S> {
    socket: S,
    until: Instant,
}

impl<S: Patient> Read for Answer<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let why = format!("the answer has not ended within {} s", ANSWER_WAIT.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        self.socket.wait_at_most(left.min(EVENT_WAIT))?;
        self.socket.read(buffer)
    }
}

fn exchange(
    mut socket: impl Patient,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<Response> {
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {host}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    socket.write_all(format!("{head}\r\n{body}").as_bytes())?;
    read_response(BufReader::new(Answer { socket, until: Instant::now() + ANSWER_WAIT }))
}

fn read_response(mut reader: impl BufRead) -> io::Result<Response> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let mut body = Vec::new();
    if chunked {
        read_chunks(&mut reader, &mut body)?;
    } else {
        reader.read_to_end(&mut body)?;
    }
    Ok(Response { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        if size == 0 {
            return Ok(());
        }
        reader.take(size).read_to_end(body)?;
        reader.read_line(&mut line)?;
    }
}
