//! A server's process comes, goes and comes back.
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::protocol::options::ProxyOptions;
use crate::stdio::proxy::StdioProxy;
use crate::stdio::upstream::connection::{ConnectError, PingError};
use crate::tests::rig::{DEADLINE, Rig, Script, call, initialize, options, request, welcome};

#[tokio::test]
async fn the_handshake_is_made_once_and_clients_are_answered_from_it() {
    let rig = Rig::unconnected(options()).await;
    assert_eq!(
        rig.post("", &initialize("2025-06-18", json!({}))).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let (mut script, stdout, stdin) = Script::new();
    let (info, asked) = tokio::join!(rig.proxy.connect(stdout, stdin, DEADLINE), script.greet(welcome()));
    assert_eq!(info.unwrap().name, "scripted");
    assert_eq!(asked["params"]["protocolVersion"], "2025-11-25");
    assert_eq!(asked["params"]["clientInfo"]["name"], "wharf");
    assert_eq!(
        asked["params"]["capabilities"],
        json!({ "sampling": {}, "elicitation": { "form": {}, "url": {} } })
    );
    let versions = [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-11-25", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ];
    let mut sessions = std::collections::HashSet::new();
    for (wanted, given) in versions {
        let reply = rig.post("", &initialize(wanted, json!({}))).await;
        let result = &reply.json()["result"];
        assert_eq!(
            (reply.json()["id"].as_str(), result["protocolVersion"].as_str()),
            (Some("init"), Some(given))
        );
        assert_eq!(result["serverInfo"]["name"], "scripted");
        assert!(
            result["capabilities"].get("tasks").is_none() && result["capabilities"].get("tools").is_some()
        );
        let session = reply.header("mcp-session-id").unwrap().to_owned();
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(rig.post(&session, &ready).await.status, StatusCode::ACCEPTED);
        assert_eq!(rig.post(&session, &request(1, "ping", json!({}))).await.json()["result"], json!({}));
        assert!(sessions.insert(session));
    }
    // Nothing of all that reached the server: the next thing it reads is a real request.
    let session = sessions.iter().next().unwrap();
    let list = request(1, "tools/list", json!({}));
    let (_, ()) = tokio::join!(rig.post(session, &list), async {
        let request = script.next_of("tools/list").await;
        script.answer(&request, json!({ "tools": [] })).await;
    });
}

#[tokio::test]
async fn a_client_never_gets_a_newer_revision_than_the_servers() {
    let rig = Rig::unconnected(options()).await;
    let _script = rig.connect(json!({ "protocolVersion": "2025-03-26", "capabilities": {} })).await;
    let reply = rig.post("", &initialize("2025-11-25", json!({}))).await;
    assert_eq!(reply.json()["result"]["protocolVersion"], "2025-03-26");
    let session = reply.header("mcp-session-id").unwrap();
    let level = rig.post(session, &request(1, "logging/setLevel", json!({ "level": "info" }))).await;
    assert_eq!(level.code(), -32601, "the server does not log");
}

#[tokio::test]
async fn declared_capabilities_can_be_replaced() {
    let proxy =
        StdioProxy::new(ProxyOptions { client_capabilities: Some(json!({ "roots": {} })), ..options() });
    let (mut script, stdout, stdin) = Script::new();
    let (info, asked) = tokio::join!(proxy.connect(stdout, stdin, DEADLINE), script.greet(welcome()));
    assert!(info.is_ok());
    assert_eq!(asked["params"]["capabilities"], json!({ "roots": {} }));
}

#[tokio::test(start_paused = true)]
async fn each_reason_why_a_program_does_not_become_a_server_is_reported() {
    let proxy = StdioProxy::new(options());
    let attempt = async |script: fn(Script) -> futures_util::future::BoxFuture<'static, Option<Script>>| {
        let (server, stdout, stdin) = Script::new();
        let (result, _kept) =
            tokio::join!(proxy.connect(stdout, stdin, Duration::from_secs(5)), script(server));
        result.unwrap_err()
    };
    let exited = attempt(|_| Box::pin(async { None })).await;
    assert_eq!(exited, ConnectError::Exited { excerpt: None });
    let usage = attempt(|mut server| {
        Box::pin(async move {
            server.raw("usage: \u{1b}[1mserver\u{1b}[0m DIR\nmore\n").await;
            None
        })
    });
    let usage = usage.await;
    assert_eq!(usage, ConnectError::Exited { excerpt: Some("usage: \\u{1b}[1mserver\\u{1b}[0m DIR".into()) });
    let silent = attempt(|server| Box::pin(async { Some(server) })).await;
    assert_eq!(silent, ConnectError::TimedOut { after: Duration::from_secs(5) });
    let chatty = attempt(|mut server| {
        Box::pin(async move {
            server.raw("x".repeat(300) + "\n").await;
            Some(server)
        })
    });
    assert_eq!(chatty.await, ConnectError::NotMcp { excerpt: "x".repeat(200) });
    let refusing = attempt(|mut server| {
        Box::pin(async move {
            let request = server.next().await;
            let error = json!({ "code": -32000, "message": "no key\n" });
            server.send(json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })).await;
            Some(server)
        })
    });
    let (message, revisions) = ("no key".into(), String::new());
    assert_eq!(refusing.await, ConnectError::Refused { code: -32000, message, revisions });
    let modern = attempt(|mut server| {
        Box::pin(async move {
            let request = server.next().await;
            server.answer(&request, json!({ "protocolVersion": "2026-07-28" })).await;
            Some(server)
        })
    });
    assert_eq!(modern.await, ConnectError::UnknownRevision { version: "2026-07-28".into() });
    let no_server = attempt(|mut server| {
        Box::pin(async move {
            let request = server.next().await;
            server.answer(&request, json!({ "hello": "world" })).await;
            Some(server)
        })
    });
    assert!(matches!(no_server.await, ConnectError::NotMcp { .. }));
}

#[tokio::test]
async fn a_flood_of_junk_is_not_waited_out() {
    let proxy = StdioProxy::new(options());
    let (mut server, stdout, stdin) = Script::new();
    let flood = async {
        use tokio::io::AsyncWriteExt;
        while server.output.write_all(b"yes\n").await.is_ok() {}
    };
    let (result, ()) = tokio::join!(proxy.connect(stdout, stdin, DEADLINE), flood);
    assert_eq!(result, Err(ConnectError::NotMcp { excerpt: "yes".into() }));
}

#[tokio::test]
async fn banners_before_the_handshake_are_survived() {
    let proxy = StdioProxy::new(options());
    let (mut server, stdout, stdin) = Script::new();
    let (info, _) = tokio::join!(proxy.connect(stdout, stdin, DEADLINE), async {
        server.raw(b"Starting server...\r\n\n{\"level\":\"info\",\"id\":1}\n[]\n\"x\"\n\xff\0\n").await;
        server.greet(welcome()).await
    });
    assert_eq!(info.unwrap().protocol_version, "2025-11-25");
}

#[tokio::test]
async fn the_end_of_the_output_fails_what_is_in_flight_and_wakes_the_supervisor() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let ((), reply) = tokio::join!(rig.proxy.disconnected(), async {
        let slow = call("x", "slow");
        let (reply, ()) = tokio::join!(rig.post(&session, &slow), async move {
            script.next_of("tools/call").await;
            drop(script);
        });
        reply
    });
    assert_eq!(
        (reply.status, reply.code(), &reply.json()["id"]),
        (StatusCode::OK, json!(-32603), &json!("x"))
    );
    rig.proxy.disconnected().await;
    assert_eq!(rig.proxy.ping(DEADLINE).await, Err(PingError::NotConnected));
    let ping = rig.post(&session, &request(1, "ping", json!({}))).await;
    assert_eq!((ping.status, ping.code()), (StatusCode::OK, json!(-32603)));
    let next = rig.post(&session, &call(2, "x")).await;
    assert_eq!((next.status, next.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
}

#[tokio::test]
async fn sessions_live_on_when_the_server_comes_back_the_same() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let subscribe = request(1, "resources/subscribe", json!({ "uri": "a://b" }));
    tokio::join!(rig.post(&session, &subscribe), async {
        let request = script.next_of("resources/subscribe").await;
        script.answer(&request, json!({})).await;
    });
    rig.post(&session, &request(2, "logging/setLevel", json!({ "level": "debug" }))).await;
    script.next_of("logging/setLevel").await;
    drop(script);
    rig.proxy.disconnected().await;
    let mut script = rig.connect(welcome()).await;
    assert_eq!(script.next_of("logging/setLevel").await["params"]["level"], "debug");
    assert_eq!(script.next_of("resources/subscribe").await["params"]["uri"], "a://b");
    let mut stream = rig.get(&session, None).await;
    let mut announced = Vec::new();
    for _ in 0..3 {
        announced.push(stream.event().await.unwrap().json()["method"].as_str().unwrap().to_owned());
    }
    announced.sort();
    let kinds = ["prompts", "resources", "tools"].map(|kind| format!("notifications/{kind}/list_changed"));
    assert_eq!(announced, kinds);
    script.notify("notifications/resources/updated", json!({ "uri": "a://b" })).await;
    assert_eq!(stream.event().await.unwrap().json()["params"]["uri"], "a://b");
}

#[tokio::test]
async fn many_subscriptions_are_repeated_in_little_time() {
    const COUNT: usize = 30_000;
    let (rig, script) = Rig::start().await;
    rig.session().await;
    rig.proxy.shared.with(|state| {
        let id = state.session_ids().remove(0);
        for number in 0..COUNT {
            let uri = format!("a://{number}");
            state.subscriptions.asked(&uri);
            state.subscriptions.accepted(&uri, Some(&id));
            let entry = state.budget.table_entry(uri.len()).unwrap();
            state.sessions.get_mut(&id).unwrap().subscriptions.insert(uri, entry);
        }
    });
    drop(script);
    rig.proxy.disconnected().await;
    let began = std::time::Instant::now();
    let mut script = rig.connect(welcome()).await;
    let took = began.elapsed();
    for _ in 0..COUNT {
        script.next_of("resources/subscribe").await;
    }
    assert!(took < std::time::Duration::from_secs(10), "{took:?}: not each of them looks at all");
}

#[tokio::test]
async fn a_session_that_ends_while_it_subscribes_once_more_leaves_no_subscription_at_the_server() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let subscribe = |id: u64| request(id, "resources/subscribe", json!({ "uri": "a://b" }));
    let (first, second) = (subscribe(1), subscribe(2));
    let (_, _, ()) = tokio::join!(rig.post(&session, &first), rig.post(&session, &second), async {
        // Neither knows of the other, and one is answered.
        let asked = script.next_of("resources/subscribe").await;
        script.next_of("resources/subscribe").await;
        script.answer(&asked, json!({})).await;
        while !rig.proxy.shared.with(|state| state.calls == 1) {
            tokio::task::yield_now().await;
        }
        rig.send(Method::DELETE, &[("mcp-session-id", &session)], "").await;
        assert_eq!(script.next_of("resources/unsubscribe").await["params"]["uri"], "a://b");
    });
}

#[tokio::test]
async fn sessions_end_when_the_server_comes_back_as_another() {
    let (rig, script) = Rig::start().await;
    let session = rig.session().await;
    let mut stream = rig.get(&session, None).await;
    drop(script);
    rig.proxy.disconnected().await;
    let _script = rig.connect(json!({ "protocolVersion": "2025-11-25", "capabilities": {} })).await;
    assert_eq!(rig.post(&session, &request(1, "ping", json!({}))).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stream.event().await, None, "its stream ends in order");
}

#[tokio::test]
async fn closing_answers_what_is_in_flight_and_ends_the_servers_input() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let slow = call(1, "slow");
    let (reply, ()) = tokio::join!(rig.post(&session, &slow), async {
        script.next_of("tools/call").await;
        rig.proxy.close_upstream("stopping for the night").await;
        rig.proxy.close_upstream("again").await;
    });
    assert_eq!(reply.json()["error"], json!({ "code": -32603, "message": "stopping for the night" }));
    assert_eq!(script.input.next_line().await.unwrap(), None);
    assert_eq!(rig.post(&session, &call(2, "x")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let gone = rig.proxy.disconnected();
    drop(script);
    gone.await;
}

#[tokio::test]
async fn a_ping_is_a_real_request() {
    let (rig, mut script) = Rig::start().await;
    let (alive, ()) = tokio::join!(rig.proxy.ping(DEADLINE), async {
        let ping = script.next_of("ping").await;
        script.answer(&ping, json!({})).await;
    });
    assert!(alive.is_ok());
    let late = rig.proxy.ping(Duration::ZERO).await;
    assert_eq!(late, Err(PingError::TimedOut { after: Duration::ZERO }));
    let late = script.next_of("ping").await;
    script.answer(&late, json!({})).await;
    assert!(rig.proxy.quiet_for().is_some());
    let (dead, ()) = tokio::join!(rig.proxy.ping(DEADLINE), async move {
        script.next_of("ping").await;
        drop(script);
    });
    assert_eq!(dead, Err(PingError::Disconnected));
    assert_eq!(rig.proxy.quiet_for(), None);
}

#[tokio::test]
async fn shutdown_ends_sessions_and_streams_and_takes_nothing_new() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let mut stream = rig.get(&session, None).await;
    rig.proxy.shutdown().await;
    assert_eq!(stream.event().await, None);
    assert_eq!(script.input.next_line().await.unwrap(), None);
    assert_eq!(
        rig.post("", &initialize("2025-06-18", json!({}))).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let (_other, stdout, stdin) = Script::new();
    assert_eq!(rig.proxy.connect(stdout, stdin, DEADLINE).await, Err(ConnectError::ShutDown));
}

#[tokio::test]
async fn a_server_that_closes_its_input_is_over_though_its_output_is_open() {
    let (rig, script) = Rig::start().await;
    let session = rig.session().await;
    let Script { input, output: _output } = script;
    let message = call(1, "x");
    drop(input);
    let reply = rig.post(&session, &message).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::OK, json!(-32603)));
    rig.proxy.disconnected().await;
    let mut script = rig.connect(welcome()).await;
    let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
        let request = script.next_of("tools/call").await;
        script.answer(&request, json!({})).await;
    });
    assert_eq!(reply.json()["result"], json!({}), "the next process serves the session");
}
