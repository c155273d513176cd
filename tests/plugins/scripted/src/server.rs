//! What the workloads run: an MCP server with one tool, over a stream.
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

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
        ] }),
        "tools/call" if message["params"]["name"] == "whoami" => {
            json!({ "content": [{ "type": "text", "text": uid }] })
        }
        _ => {
            let error = json!({ "code": -32601, "message": "no such method" });
            return Some(json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        }
    };
    Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}
