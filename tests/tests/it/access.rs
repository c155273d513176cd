//! The clients that may use a workload's proxy, and that nobody else learns the secret.
mod changed;
mod hidden;
mod interrupted;
mod own_socket;

use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt,
    path::Path,
};
use wharf_tests::client::{Client, Response, http, split};
use wharf_tests::host::{Host, demo_server, eventually};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"0"}}}"#;

/// The secret part of a URL.
fn part_of(url: &str) -> String {
    let (_, path) = split(url);
    let part = path.strip_prefix('/').and_then(|rest| rest.strip_suffix("/mcp")).expect("a secret part");
    assert!(part.len() == 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit()), "{url}");
    part.to_owned()
}

/// The URL that a start, or a restart, says.
fn begun(host: &Host, command: &str, name: &str) -> String {
    let said = host.ok(&[command, name]);
    said.trim().rsplit(' ').next().unwrap_or_default().to_owned()
}

/// Writes a file in the place of another, as somebody from outside would.
fn write(path: &Path, text: &str) {
    fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).unwrap();
}

/// A client's first request.
fn ask(address: &str, path: &str, more: &[(&str, &str)]) -> Response {
    let usual = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
    let headers: Vec<_> =
        usual.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    http(address, "POST", path, &headers, INITIALIZE).unwrap()
}

#[test]
fn who_does_not_know_the_url_gets_404_for_everything() {
    let host = Host::new();
    for (name, options) in [("stdio", vec![]), ("port", vec!["--transport", "streamable-http"])] {
        let url = host.run(&[&["--name", name], &options[..], &[&demo_server()]].concat());
        let (address, path) = split(&url);
        assert_eq!(ask(address, path, &[]).status, 200);
        let part = part_of(&url);
        let other = format!("/{}/mcp", "0".repeat(32));
        for path in ["/", "/mcp", "/sse", "/messages", &other, &format!("/{part}"), &format!("/{part}/mcp/x")]
        {
            for method in ["POST", "GET", "DELETE", "OPTIONS", "HEAD"] {
                let told = http(address, method, path, &[], INITIALIZE).unwrap();
                assert_eq!((told.status, told.body.as_str()), (404, ""), "{method} {path}");
            }
            for more in
                [("Host", "evil.example"), ("Origin", "http://localhost:5173"), ("Authorization", "Bearer x")]
            {
                assert_eq!(ask(address, path, &[more]).status, 404, "{more:?} {path}");
            }
        }
        // The proxy checks no origin of its server's, and a page on this machine that knows the URL may call it.
        assert_eq!(ask(address, path, &[("Origin", "http://localhost:6274")]).status, 200);
        assert_eq!(ask(address, path, &[("Origin", "http://evil.example")]).status, 403);
    }
}

#[test]
fn the_url_stays_over_restarts_and_is_another_for_each_creation() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    assert_eq!(host.row("demo").unwrap()["url"], url.as_str());
    assert_eq!(host.ok(&["url", "demo"]).trim(), url);
    assert_eq!(begun(&host, "restart", "demo"), url);
    host.ok(&["stop", "demo"]);
    assert_eq!(host.ok(&["url", "demo"]).trim(), url, "of one that does not run, too");
    assert!(host.row("demo").unwrap()["url"].is_null());
    assert_eq!(begun(&host, "start", "demo"), url);
    assert_eq!(begun(&host, "start", "demo"), url, "it runs already");
    assert!(Client::open(&url).is_ok());
    let supervisor = host.record("demo")["process_id"].as_i64().unwrap();
    host.kill_own(i32::try_from(supervisor).unwrap());
    host.assert_nothing_runs();
    host.ok(&["start", "demo"]);
    assert!(Client::open(&url).is_ok());
    let port = split(&url).0.rsplit_once(':').unwrap().1.to_owned();
    host.ok(&["rm", "demo"]);
    assert_eq!(host.leftovers(), Vec::<String>::new());
    let again = host.run(&["--name", "demo", "--proxy-port", &port, &demo_server()]);
    assert_eq!(split(&again).0, split(&url).0);
    assert_ne!(part_of(&again), part_of(&url));
    assert_eq!(ask(split(&url).0, split(&url).1, &[]).status, 404);
    let servers: Value = serde_json::from_str(&host.ok(&["list", "--format", "mcpservers"])).unwrap();
    assert_eq!(servers, json!({ "mcpServers": { "demo": { "url": again, "type": "http" } } }));
}

#[test]
fn a_rotation_holds_at_once_and_over_restarts() {
    let host = Host::new();
    let old = host.run(&["--name", "demo", &demo_server()]);
    let mut client = Client::open(&old).unwrap();
    assert_eq!(client.call_tool("add", json!({ "a": 2, "b": 3 })).unwrap(), "5");
    let new = host.ok(&["url", "demo", "--rotate"]).trim().to_owned();
    assert_ne!(part_of(&old), part_of(&new));
    assert_eq!(split(&old).0, split(&new).0);
    assert_eq!(ask(split(&old).0, split(&old).1, &[]).status, 404);
    assert!(client.call_tool("add", json!({ "a": 2, "b": 3 })).is_err(), "its session does not help");
    assert!(Client::open(&new).is_ok());
    assert_eq!(host.row("demo").unwrap()["url"], new.as_str());
    host.ok(&["stop", "demo"]);
    // The same for a workload that is stopped.
    let newer = host.ok(&["url", "demo", "--rotate"]).trim().to_owned();
    assert_ne!(part_of(&newer), part_of(&new));
    host.ok(&["start", "demo"]);
    assert!(Client::open(&newer).is_ok());
    assert_eq!(ask(split(&new).0, split(&new).1, &[]).status, 404);
}

#[test]
fn a_supervisor_that_cannot_write_goes_on_with_the_old_url() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    let secrets = host.path("state/proxy-secrets");
    let aside = host.path("state/aside");
    fs::rename(&secrets, &aside).unwrap();
    fs::File::create(&secrets).unwrap();
    let said = host.wharf(&["url", "demo", "--rotate"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("proxy-secrets"), "{said:?}");
    assert!(Client::open(&url).is_ok());
    fs::remove_file(&secrets).unwrap();
    fs::rename(&aside, &secrets).unwrap();
    assert_eq!(host.ok(&["url", "demo"]).trim(), url);
}

#[test]
fn a_token_takes_the_place_of_the_path() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", "--auth", "bearer", &demo_server()]);
    let (address, path) = split(&url);
    assert_eq!(path, "/mcp");
    let refused = ask(address, path, &[]);
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"wharf\""));
    let token = host.ok(&["url", "demo", "--token"]).trim().to_owned();
    assert_eq!(token.len(), 32);
    let mut client = Client::open_with(&url, Some(&token)).unwrap();
    assert_eq!(client.call_tool("add", json!({ "a": 2, "b": 3 })).unwrap(), "5");
    let told: Value =
        serde_json::from_str(&host.ok(&["url", "demo", "--token", "--format", "json"])).unwrap();
    assert_eq!(told, json!({ "name": "demo", "url": url, "auth": "bearer", "token": token }));
    // A client's configuration is of no use without it; the list that people read has none.
    let servers: Value = serde_json::from_str(&host.ok(&["list", "--format", "mcpservers"])).unwrap();
    assert_eq!(servers["mcpServers"]["demo"]["headers"]["Authorization"], format!("Bearer {token}"));
    for command in
        [&["list"][..], &["list", "--format", "json"], &["url", "demo"], &["url", "demo", "--format", "json"]]
    {
        assert!(!host.ok(command).contains(&token), "{command:?}");
    }
    let new = host.ok(&["url", "demo", "--rotate", "--token"]).trim().to_owned();
    assert_ne!(new, token);
    assert!(client.call_tool("add", json!({ "a": 2, "b": 3 })).is_err());
    let wrong = ask(address, path, &[("Authorization", &format!("Bearer {token}"))]);
    assert_eq!(wrong.header("www-authenticate"), Some("Bearer realm=\"wharf\", error=\"invalid_token\""));
    assert!(Client::open_with(&url, Some(&new)).is_ok());
}

/// An address of this machine that is not loopback, where it has one.
fn address_here() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only tells the address from which it would be sent.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_loopback())
}

#[test]
fn an_address_that_others_reach_needs_a_token() {
    let host = Host::new();
    for auth in [&[][..], &["--auth", "path"], &["--auth", "none"]] {
        for address in ["0.0.0.0", "::", "192.0.2.1"] {
            let said = host
                .wharf(&[&["run", "--name", "demo", "--host", address], auth, &[&demo_server()]].concat());
            assert_eq!(said.code, 2, "{said:?}");
            assert!(said.stderr.contains("--auth bearer"), "{said:?}");
        }
    }
    assert!(host.list().is_empty(), "nothing was created");
    let url = host.run(&["--name", "demo", "--host", "0.0.0.0", "--auth", "bearer", &demo_server()]);
    let token = host.ok(&["url", "demo", "--token"]).trim().to_owned();
    assert!(Client::open_with(&url, Some(&token)).is_ok());
    if let Some(address) = address_here() {
        let there = url.replace("127.0.0.1", &address.to_string());
        assert!(Client::open_with(&there, Some(&token)).is_ok(), "{there}");
        assert_eq!(ask(split(&there).0, "/mcp", &[]).status, 401);
    }
    for auth in ["path", "none"] {
        let said = host.wharf(&["url", "demo", "--auth", auth]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.stderr.contains("--auth bearer"), "the reason comes from the supervisor: {said:?}");
    }
    assert!(Client::open_with(&url, Some(&token)).is_ok(), "nothing was changed");
    // A record that says otherwise is not believed.
    host.ok(&["stop", "demo"]);
    host.change_run_config("demo", |run| run["proxy_auth"] = json!("path"));
    let said = host.wharf(&["start", "demo"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("wharf url demo --auth bearer"), "the way on: {said:?}");
    host.ok(&["url", "demo", "--auth", "bearer"]);
    host.ok(&["start", "demo"]);
}

#[test]
fn a_record_without_proxy_auth_serves_everybody_until_it_is_changed() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    host.ok(&["stop", "demo"]);
    assert!(!host.ok(&["doctor"]).contains("everybody"));
    host.change_run_config("demo", |run| {
        run.as_object_mut().unwrap().remove("proxy_auth").unwrap();
    });
    fs::remove_dir_all(host.path("state/proxy-secrets")).unwrap();
    let url = begun(&host, "start", "demo");
    let (address, path) = split(&url);
    assert_eq!(path, "/mcp");
    assert!(Client::open(&url).is_ok());
    assert_eq!(
        ask(address, path, &[("Origin", "http://localhost:5173")]).status,
        403,
        "a page of any workload"
    );
    let doctor = host.ok(&["doctor"]);
    assert!(doctor.contains("everybody on this machine can use: demo"), "{doctor}");
    assert!(doctor.contains("wharf url demo --auth path"), "{doctor}");
    let said = host.wharf(&["url", "demo", "--rotate"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(!host.path("state/proxy-secrets").exists(), "nothing was written for it");
    // While it runs.
    let secret = host.ok(&["url", "demo", "--auth", "path"]).trim().to_owned();
    part_of(&secret);
    assert_eq!(ask(address, path, &[]).status, 404);
    assert!(Client::open(&secret).is_ok());
    assert!(!host.ok(&["doctor"]).contains("everybody"));
    assert_eq!(begun(&host, "restart", "demo"), secret);
    // Back to `none`: now it is the user's choice, and the doctor does not mention it.
    assert_eq!(host.ok(&["url", "demo", "--auth", "none"]).trim(), url);
    assert!(Client::open(&url).is_ok());
    assert!(!host.ok(&["doctor"]).contains("everybody"));
}

#[test]
fn pages_are_admitted_by_name() {
    let host = Host::new();
    let origin = "https://app.example";
    let pages =
        [("http://localhost:3000", true), (origin, false), ("https://evil.example", true), ("null", true)];
    let url = host.run(&["--name", "open", "--auth", "none", "--allow-origin", origin, &demo_server()]);
    for (page, is_refused) in pages {
        let status = ask(split(&url).0, "/mcp", &[("Origin", page)]).status;
        assert_eq!(status, if is_refused { 403 } else { 200 }, "{page}");
    }
    // The exported RunConfig has the value, and a copy gets it, too; with a secret, pages of this machine may call the
    // proxy.
    let exported = host.path("work/open.json").display().to_string();
    host.ok(&["export", "open", "--output", &exported]);
    let copy = host.run(&["--from-config", &exported, "--name", "copy"]);
    assert_eq!(split(&copy).1, "/mcp");
    assert_eq!(ask(split(&copy).0, "/mcp", &[("Origin", origin)]).status, 200);
    assert_eq!(ask(split(&copy).0, "/mcp", &[("Origin", "http://localhost:3000")]).status, 403);
    let secret = host.ok(&["url", "copy", "--auth", "path"]).trim().to_owned();
    for (page, status) in [(origin, 200), ("http://localhost:3000", 200), ("https://evil.example", 403)] {
        assert_eq!(ask(split(&secret).0, split(&secret).1, &[("Origin", page)]).status, status, "{page}");
    }
    for wrong in
        ["*", "app.example", "https://", "https://*.example", "https://app.example/x", "null", "a b://c"]
    {
        let said = host.wharf(&["run", "--name", "no", "--allow-origin", wrong, &demo_server()]);
        assert_eq!(said.code, 2, "{wrong}: {said:?}");
    }
}

#[test]
fn a_change_that_its_supervisor_does_not_make_is_not_made() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    // A supervisor of an earlier version behaves like this: it closes the connection, as it does not know the request.
    let socket = host.path("state/control/demo.sock");
    fs::remove_file(&socket).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let silent = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let said = host.wharf(&["url", "demo", "--rotate"]);
    silent.join().unwrap();
    assert_eq!(said.code, 7, "{said:?}");
    assert!(said.stderr.contains("see: wharf url demo"), "{said:?}");
    assert!(said.stderr.contains("wharf stop demo"), "the way on: {said:?}");
    assert_eq!(host.ok(&["url", "demo"]).trim(), url);
    assert!(Client::open(&url).is_ok());
    fs::remove_file(&socket).unwrap();
    let supervisor = host.record("demo")["process_id"].as_i64().unwrap();
    host.kill_own(i32::try_from(supervisor).unwrap());
    eventually("it is gone", || host.row("demo").unwrap()["status"] == "unhealthy");
}

#[test]
fn files_of_secrets_are_their_owners_alone() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let mode = |path: &str| fs::metadata(host.path(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("state/proxy-secrets"), 0o700);
    assert_eq!(mode("state/proxy-secrets/demo.json"), 0o600);
    host.ok(&["url", "demo", "--rotate"]);
    assert_eq!(mode("state/proxy-secrets/demo.json"), 0o600);
    host.ok(&["rm", "--forget", "demo"]);
    assert!(!host.path("state/proxy-secrets/demo.json").exists());
}
