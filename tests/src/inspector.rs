//! The official client of MCP, as a program: `mcp-inspector --cli`.
use serde_json::Value;
use std::process::Command;

/// The official client's output about the server at a URL, with these options (`--method`, …), which must succeed.
pub fn inspect(url: &str, args: &[&str]) -> Value {
    let output = Command::new("mcp-inspector")
        .args(["--cli", url, "--transport", "http", "--format", "json"])
        .args(args)
        .output()
        .expect("mcp-inspector");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{url}: {text} {}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_str(&text).expect("its answer is JSON");
    answer["result"].clone()
}

/// The result of a tool, with arguments such as `NAME=VALUE`.
pub fn call(url: &str, tool: &str, arguments: &[&str]) -> Value {
    let given = arguments.iter().flat_map(|argument| ["--tool-arg", argument]);
    inspect(
        url,
        &["--method", "tools/call", "--tool-name", tool].into_iter().chain(given).collect::<Vec<_>>(),
    )
}
