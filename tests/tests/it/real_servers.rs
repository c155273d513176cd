//! Real MCP servers of PyPI and npm, called by the official inspector.
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use wharf_tests::client::Client;
use wharf_tests::host::{COMMAND_WAIT, Host, built, has_tool, output_of};
use wharf_tests::inspector::{call, inspect};

/// The names of the tools that a server lists, in order.
fn tools(url: &str) -> Vec<String> {
    let listed = Client::open(url).unwrap().request("tools/list", json!({})).unwrap();
    let tools = listed["tools"].as_array().unwrap_or_else(|| panic!("{listed}")).iter();
    let mut names: Vec<String> = tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

/// Several first starts of one package at the same time, while nothing of it is in its caches: each is ready, and serves the
/// same.
fn is_fetched_by_several_at_once(tool: &str, package: &str) {
    if !has_tool(tool, tool) {
        return;
    }
    let host = Host::new().with_users_home();
    // Each fetches the package, on a machine that may be busy.
    host.configure(&json!({ "start_timeout_ms": 900_000 }));
    let begin = |name: &&str| {
        let mut run = host.command(&["run", "--name", name, package]);
        run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let names = ["one", "two", "three", "four"];
    let begun: Vec<_> = names.iter().map(begin).collect();
    let said: Vec<_> = begun.into_iter().map(|run| run.wait_with_output().unwrap()).collect();
    for said in &said {
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
    let listed: Vec<_> =
        said.iter().map(|said| tools(String::from_utf8_lossy(&said.stdout).trim())).collect();
    assert!(!listed[0].is_empty() && listed.iter().all(|tools| *tools == listed[0]), "{listed:?}");
    host.ok(&["rm", "--all"]);
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn four_first_starts_of_a_package_of_pypi_at_once_are_all_ready() {
    is_fetched_by_several_at_once("uvx", "uvx://mcp-server-time");
}

#[test]
fn four_first_starts_of_a_package_of_npm_at_once_are_all_ready() {
    is_fetched_by_several_at_once("npx", "npx://@modelcontextprotocol/server-everything");
}

#[test]
fn a_server_of_pypi_runs_by_its_name() {
    if !has_tool("uvx", "uvx") {
        return;
    }
    let host = Host::new().with_users_home();
    let url = host.run(&["uvx://mcp-server-time"]);
    assert_eq!(host.row("mcp-server-time").unwrap()["runtime_name"], "process");
    let mut client = Client::open(&url).unwrap();
    let answer = client.call_tool("get_current_time", json!({ "timezone": "UTC" })).unwrap();
    assert!(answer.contains("\"timezone\": \"UTC\""), "{answer}");
    host.ok(&["rm", "mcp-server-time"]);
    host.assert_nothing_runs();
    // Its own caches are enough for it, and no other package can change them.
    let url = host.run(&["--permission-profile", "none", "uvx://mcp-server-time"]);
    let mut client = Client::open(&url).unwrap();
    assert!(client.call_tool("get_current_time", json!({ "timezone": "UTC" })).is_ok());
}

#[test]
fn a_server_of_npm_runs_by_its_name() {
    if !has_tool("npx", "npx") {
        return;
    }
    let host = Host::new().with_users_home();
    let url = host.run(&["npx://@modelcontextprotocol/server-everything"]);
    let mut client = Client::open(&url).unwrap();
    assert_eq!(client.call_tool("echo", json!({ "message": "hello" })).unwrap(), "Echo: hello");
    host.ok(&["rm", "server-everything"]);
    host.assert_nothing_runs();
    host.run(&["--permission-profile", "none", "npx://@modelcontextprotocol/server-everything"]);
    host.ok(&["rm", "server-everything"]);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

/// A part of what is done by hand for the whole list.
#[test]
fn servers_of_others_have_the_same_tools_through_wharf_as_without_it() {
    if !has_tool("npx", "npx") || !has_tool("uvx", "uvx") {
        return;
    }
    let mut compare = Command::new(built("wharf-test-servers"));
    compare.args(["--turns", "1", "--format", "json", "everything", "time"]);
    let said = output_of(&mut compare, COMMAND_WAIT);
    let (report, table) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{table}");
    let report: Value = serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {report}"));
    assert_eq!(report["summary"]["same"], 2, "{table}");
    for row in report["servers"].as_array().unwrap() {
        assert!(
            row["tools"].as_u64() > Some(0) && row["direct_ms"].is_f64() && row["wharf_ms"].is_f64(),
            "{row}"
        );
    }
}

#[test]
fn the_official_inspector_lists_and_calls_tools() {
    if !has_tool("inspector", "mcp-inspector") || !has_tool("npx", "npx") || !has_tool("uvx", "uvx") {
        return;
    }
    let host = Host::new().with_users_home();
    let everything = host.run(&["npx://@modelcontextprotocol/server-everything"]);
    let time = host.run(&["uvx://mcp-server-time"]);
    let tools = inspect(&everything, &["--method", "tools/list"]);
    let names: Vec<&str> =
        tools["tools"].as_array().unwrap().iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert!(names.contains(&"echo"), "{names:?}");
    assert_eq!(call(&everything, "echo", &["message=hello"])["content"][0]["text"], "Echo: hello");
    assert_eq!(call(&time, "get_current_time", &["timezone=UTC"])["structuredContent"]["timezone"], "UTC");
}

#[test]
fn a_package_that_does_not_exist_is_told_with_the_tools_own_words() {
    if !has_tool("npx", "npx") {
        return;
    }
    let host = Host::new().with_users_home();
    let said = host.wharf(&["run", "npx://@modelcontextprotocol/no-such-server-at-all"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.stderr.contains("404"), "{said:?}");
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}
