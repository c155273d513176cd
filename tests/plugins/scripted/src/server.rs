//! The program of the workloads: an MCP server with two tools, over a stream of lines or over a connection with HTTP.
use serde_json::{Value, json};
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// The revision that is answered to a client that names none.
const REVISION: &str = "2025-06-18";

/// Answers until the client has closed its side. The tool `whoami` tells the uid.
pub(crate) async fn serve(stream: impl AsyncRead + AsyncWrite, uid: &str) -> std::io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        if let Some(answer) = answer(&message, uid) {
            writer.write_all(format!("{answer}\n").as_bytes()).await?;
        }
    }
    Ok(())
}

/// The session of every client: nothing is kept of one.
const SESSION: &str = "the-only-one";

/// Answers the requests of one connection until the client has closed it: those with a message, which are `POST`, and no
/// others. There are no streams.
pub(crate) async fn serve_http(stream: impl AsyncRead + AsyncWrite, uid: &str) -> io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    while let Some(request) = read_request(&mut reader).await? {
        let message = serde_json::from_slice::<Value>(&request.body).ok().filter(|_| request.is_post);
        let (status, body) = match message {
            Some(message) => match answer(&message, uid) {
                Some(answer) => ("200 OK", answer.to_string()),
                None => ("202 Accepted", String::new()),
            },
            None => ("405 Method Not Allowed", String::new()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nmcp-session-id: {SESSION}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        writer.write_all(head.as_bytes()).await?;
        writer.write_all(body.as_bytes()).await?;
        writer.flush().await?;
        if request.is_last {
            break;
        }
    }
    writer.shutdown().await
}

struct Request {
    is_post: bool,
    is_last: bool,
    body: Vec<u8>,
}

/// The next request; none at the end of the connection.
async fn read_request(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if reader.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut request = Request { is_post: first.starts_with("POST "), is_last: false, body: Vec::new() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => request.body.resize(value.trim().parse().unwrap_or_default(), 0),
            "connection" => request.is_last = value.trim().eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    reader.read_exact(&mut request.body).await?;
    Ok(Some(request))
}

/// The answer to a request; none to anything else.
fn answer(message: &Value, uid: &str) -> Option<Value> {
    let (id, method) = (message.get("id")?, message.get("method")?.as_str()?);
    let result = match method {
        "initialize" => json!({
            "protocolVersion": message["params"]["protocolVersion"].as_str().unwrap_or(REVISION),
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "scripted", "version": "0" },
        }),
        "ping" => json!({}),
        "tools/list" => json!({ "tools": [
            { "name": "whoami", "description": "The workload's uid", "inputSchema": { "type": "object" } },
            { "name": "echo", "description": "The argument 'text'", "inputSchema": { "type": "object" } },
        ] }),
        "tools/call" if message["params"]["name"] == "whoami" => {
            json!({ "content": [{ "type": "text", "text": uid }] })
        }
        "tools/call" if message["params"]["name"] == "echo" => {
            json!({ "content": [{ "type": "text", "text": message["params"]["arguments"]["text"] }] })
        }
        _ => {
            let error = json!({ "code": -32601, "message": "no such method" });
            return Some(json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        }
    };
    Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}
