//! Servers with a port: ready once they have answered the handshake at their path, and told what to do where they have not.
use serde_json::json;
use wharf_tests::client::Client;
use wharf_tests::host::{Host, demo_server};

const HTTP: [&str; 2] = ["--transport", "streamable-http"];

fn echo(url: &str) -> String {
    Client::open(url).unwrap().call_tool("echo", json!({ "message": "here" })).unwrap()
}

#[test]
fn a_server_at_another_path_is_no_success_and_its_path_is_told() {
    let host = Host::new();
    let server = demo_server();
    let run = [&["run", "--name", "elsewhere"][..], &HTTP].concat();
    let said = host.wharf(&[&run[..], &[&server, "--path", "/api/mcp"]].concat());
    assert!(said.code != 0 && said.stdout.is_empty(), "{said:?}");
    for words in ["serves no MCP at /mcp", "HTTP status 404", "ask for it with --target-path /api/mcp"] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    let url = host.run(&[
        "--name",
        "elsewhere",
        HTTP[0],
        HTTP[1],
        "--target-path",
        "/api/mcp",
        &server,
        "--path",
        "/api/mcp",
    ]);
    assert_eq!(echo(&url), "here");
    assert!(url.ends_with("/mcp") && !url.contains("api"), "clients see the proxy's own path: {url}");
    host.ok(&["restart", "elsewhere"]);
    assert_eq!(echo(&url), "here");
}

#[test]
fn a_server_on_the_other_loopback_address_alone_is_found() {
    let host = Host::new();
    let url = host.run(&["--name", "six", HTTP[0], HTTP[1], &demo_server(), "--", "--host", "::1"]);
    assert_eq!(echo(&url), "here");
}

#[test]
fn a_port_that_a_variable_names_is_followed() {
    let host = Host::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = host.run(&["--name", "told", HTTP[0], HTTP[1], "-e", &format!("PORT={free}"), &demo_server()]);
    assert_eq!(echo(&url), "here");
    let exported: serde_json::Value = serde_json::from_str(&host.ok(&["export", "told"])).unwrap();
    assert_eq!(exported["target_port"], free);
}

#[test]
fn a_server_with_a_port_that_is_run_over_stdio_is_told_as_that() {
    let host = Host::new();
    let began = std::time::Instant::now();
    let said = host.wharf(&["run", "--name", "web", &demo_server(), "--port", "0"]);
    assert!(said.code != 0, "{said:?}");
    for words in ["listens on port ", "--transport streamable-http", "--target-port"] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    assert!(began.elapsed().as_secs() < 60, "long before the start's deadline");
}

#[test]
fn a_proxy_is_reached_by_the_names_that_were_given() {
    let host = Host::new();
    let url = host.run(&[
        "--name",
        "named",
        "--host",
        "localhost",
        "--allow-host",
        "host.docker.internal",
        &demo_server(),
    ]);
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let place = url.strip_prefix("http://").unwrap();
    let (address, path) = place.split_once('/').unwrap();
    let status = |name: &str| {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET /{path} HTTP/1.1\r\nHost: {name}\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(status("host.docker.internal:9").starts_with("HTTP/1.1 400 "), "it is asked for a session");
    let refused = status("evil.example");
    assert!(refused.starts_with("HTTP/1.1 403 ") && refused.contains("Host not allowed"), "{refused}");
}
