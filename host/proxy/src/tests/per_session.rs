//! A server for each session (`docs/mcp.md`, 12.9).
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::protocol::options::Limits;
use crate::stdio::family::{Kind, NoInstance, Starting};
use crate::stdio::proxy::{InstanceSource, StdioProxy};
use crate::tests::rig::{DEADLINE, Rig, Script, call, initialize, limited, notification, request, welcome};

pub(super) const MIB: usize = 1024 * 1024;

/// Makes scripted servers, and hands out each with its proxy, which is there as long as somebody holds it.
#[derive(Debug)]
pub(super) struct Scripts {
    made: mpsc::Sender<(Script, StdioProxy)>,
    outcome: AtomicU8,
    /// The capabilities that each server was told of its client.
    offered: Mutex<Vec<Value>>,
}

/// A server comes.
const COMES: u8 = 0;
/// None can be started.
const FAILS: u8 = 1;
/// A server is being started for ever.
const TAKES_LONG: u8 = 2;

impl std::fmt::Debug for Script {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Script")
    }
}

impl InstanceSource for Scripts {
    fn start(&self, proxy: StdioProxy) -> Starting {
        let (made, outcome) = (self.made.clone(), self.outcome.load(Ordering::Relaxed));
        self.offered.lock().unwrap().push(proxy.shared.declared_capabilities());
        Box::pin(async move {
            match outcome {
                COMES => {}
                FAILS => return Err(NoInstance::Failed),
                _ => std::future::pending().await,
            }
            let (mut script, stdout, stdin) = Script::new();
            let (connected, ()) = tokio::join!(proxy.connect(stdout, stdin, DEADLINE), async {
                let initialize = script.next_of("initialize").await;
                script.answer(&initialize, welcome()).await;
            });
            connected.unwrap();
            made.send((script, proxy)).await.unwrap();
            Ok(())
        })
    }
}

pub(super) type Made = mpsc::Receiver<(Script, StdioProxy)>;

/// Opens a session whose client offers these capabilities and says that it is ready.
pub(super) async fn open(rig: &Rig, servers: &mut Made, capabilities: Value) -> (String, Script, StdioProxy) {
    let session = rig.open("2025-06-18", capabilities).await;
    let (mut script, proxy) = servers.recv().await.unwrap();
    let ready = notification("notifications/initialized", json!({}));
    assert_eq!(rig.post(&session, &ready).await.status, StatusCode::ACCEPTED);
    script.next_of("notifications/initialized").await;
    (session, script, proxy)
}

/// A proxy whose own server is connected, and the servers of sessions as they are made.
pub(super) async fn rig(limits: Limits) -> (Rig, Script, Arc<Scripts>, Made) {
    let (made, servers) = mpsc::channel(16);
    let source = Arc::new(Scripts { made, outcome: AtomicU8::new(COMES), offered: Mutex::default() });
    let rig = Rig::of(StdioProxy::per_session(limited(limits), source.clone())).await;
    let own = rig.connect(welcome()).await;
    (rig, own, source, servers)
}

#[tokio::test]
async fn each_session_has_its_server_and_gets_all_that_says_and_nothing_else() {
    let (rig, _own, _, mut servers) = rig(Limits::default()).await;
    let (one, mut of_one, _one_proxy) = open(&rig, &mut servers, json!({})).await;
    let (other, mut of_other, _other_proxy) = open(&rig, &mut servers, json!({})).await;
    // Both are at work, with equal ids; what a server says is for its session alone.
    let calls = [call(1, "long"), call(1, "long")];
    let (one, other, ()) =
        tokio::join!(rig.post_stream(&one, &calls[0]), rig.post_stream(&other, &calls[1]), async {
            let requests = [of_one.next().await, of_other.next().await];
            of_one.notify("notifications/message", json!({ "level": "info", "data": "for one" })).await;
            of_other
                .notify("notifications/message", json!({ "level": "info", "data": "for the other" }))
                .await;
            of_one.answer(&requests[0], json!({ "of": "one" })).await;
            of_other.answer(&requests[1], json!({ "of": "the other" })).await;
        });
    for (mut stream, name, logged) in [(one, "one", "for one"), (other, "the other", "for the other")] {
        assert_eq!(stream.event().await.unwrap().json()["params"]["data"], logged);
        assert_eq!(stream.event().await.unwrap().json()["result"]["of"], name);
        assert_eq!(stream.event().await, None);
    }
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_server_and_no_other() {
    let (rig, _own, _, mut servers) = rig(Limits::default()).await;
    let (one, _script, of_one) = open(&rig, &mut servers, json!({})).await;
    let (other, _other_script, of_other) = open(&rig, &mut servers, json!({})).await;
    let deleted = rig.whole(Method::DELETE, &[("mcp-session-id", one.as_str())], "").await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    of_one.over().await;
    assert!(!of_other.shared.over.is_cancelled());
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(rig.post(&one, &ping).await.status, StatusCode::NOT_FOUND);
    assert_eq!(rig.post(&other, &ping).await.status, StatusCode::OK);
    // A server that ends takes its session along.
    of_other.shutdown().await;
    assert_eq!(rig.post(&other, &ping).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_session_that_gets_no_server_is_not_opened() {
    let (rig, own, source, mut servers) = rig(Limits::default()).await;
    source.outcome.store(FAILS, Ordering::Relaxed);
    let message = initialize("2025-06-18", json!({}));
    let refused = rig.post("", &message).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::SERVICE_UNAVAILABLE, json!(-32603)));
    source.outcome.store(COMES, Ordering::Relaxed);
    open(&rig, &mut servers, json!({})).await;
    // Without a server of its own the workload has nobody to ask what it can do.
    drop(own);
    rig.proxy.disconnected().await;
    assert_eq!(rig.post("", &message).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_client_that_goes_before_its_session_is_open_leaves_no_server() {
    let (rig, _own, source, mut servers) = rig(Limits::default()).await;
    let Kind::Front(family) = &rig.proxy.shared.kind else { panic!("it has a server for each session") };
    source.outcome.store(TAKES_LONG, Ordering::Relaxed);
    let mut starting = Box::pin(family.start(&rig.proxy.shared, json!({})));
    assert!(futures_util::poll!(&mut starting).is_pending());
    let proxy = family.proxies().pop().unwrap();
    drop(starting);
    assert!(proxy.over.is_cancelled());
    // The server came, and nobody was there any more to open a session in it.
    source.outcome.store(COMES, Ordering::Relaxed);
    let started = family.start(&rig.proxy.shared, json!({})).await.unwrap();
    let (_script, of_started) = servers.recv().await.unwrap();
    assert!(!of_started.shared.over.is_cancelled());
    drop(started);
    of_started.over().await;
}

#[tokio::test]
async fn a_server_learns_what_its_client_offers_and_gets_its_roots() {
    let (rig, _own, source, mut servers) = rig(Limits::default()).await;
    let offered =
        json!({ "roots": { "listChanged": true }, "elicitation": {}, "tasks": {}, "sampling": null });
    let (session, mut script, _proxy) = open(&rig, &mut servers, offered).await;
    let told = json!({ "roots": { "listChanged": true }, "elicitation": {} });
    assert_eq!(source.offered.lock().unwrap()[0], told, "what is not passed on is not declared either");
    // As servers do: at once after the handshake, when no stream of the client is open yet.
    script.send(request("r-1", "roots/list", json!({}))).await;
    script.send(request("s-1", "sampling/createMessage", json!({ "messages": [] }))).await;
    assert_eq!(script.next().await["error"]["code"], -32601, "sampling is not offered");
    let mut stream = rig.get(&session, None).await;
    let asked = stream.event().await.unwrap().json();
    assert_eq!(asked["method"], "roots/list");
    let roots = json!({ "roots": [{ "uri": "file:///home/one" }] });
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": roots });
    assert_eq!(rig.post(&session, &answer).await.status, StatusCode::ACCEPTED);
    assert_eq!(script.next().await, json!({ "jsonrpc": "2.0", "id": "r-1", "result": roots }));
    let changed = notification("notifications/roots/list_changed", json!({}));
    assert_eq!(rig.post(&session, &changed).await.status, StatusCode::ACCEPTED);
    script.next_of("notifications/roots/list_changed").await;
    // Another client's server is told nothing of it, and a client without roots is asked for none.
    let (_other, mut other_script, _other_proxy) = open(&rig, &mut servers, json!({})).await;
    other_script.send(request("r-2", "roots/list", json!({}))).await;
    assert_eq!(other_script.next().await["error"]["code"], -32601);
}

#[tokio::test]
async fn a_question_without_a_stream_does_not_wait_for_ever() {
    let limits = Limits { server_request_timeout: Duration::from_millis(500), ..Limits::default() };
    let (rig, _own, _, mut servers) = rig(limits).await;
    let (_session, mut script, _proxy) = open(&rig, &mut servers, json!({ "roots": {} })).await;
    script.send(request(1, "roots/list", json!({}))).await;
    assert_eq!(script.next().await["error"]["code"], -32603, "nobody came for it");
}

#[tokio::test]
async fn a_question_without_a_stream_waits_for_the_next_call() {
    let (rig, _own, _, mut servers) = rig(Limits::default()).await;
    let (session, mut script, _proxy) = open(&rig, &mut servers, json!({ "roots": {} })).await;
    // A question that the server gives up is sent to nobody; the other one goes with the call.
    script.send(request(2, "roots/list", json!({}))).await;
    script.notify("notifications/cancelled", json!({ "requestId": 2 })).await;
    script.send(request(3, "roots/list", json!({}))).await;
    // This is answered after all that was taken.
    script.send(request(4, "ping", json!({}))).await;
    assert_eq!(script.next().await["id"], 4);
    let asking = call(1, "x");
    let (mut stream, at_server) = tokio::join!(rig.post_stream(&session, &asking), script.next());
    let asked = stream.event().await.unwrap().json();
    assert_eq!(asked["method"], "roots/list");
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "roots": [] } });
    assert_eq!(rig.post(&session, &answer).await.status, StatusCode::ACCEPTED);
    assert_eq!(script.next().await["id"], 3);
    script.answer(&at_server, json!({ "done": true })).await;
    assert_eq!(stream.event().await.unwrap().json()["result"]["done"], true);
}

#[tokio::test]
async fn questions_that_wait_for_a_stream_are_bounded() {
    let limits = Limits { server_requests: 3, ..Limits::default() };
    let (rig, _own, _, mut servers) = rig(limits).await;
    let (_session, mut script, _proxy) = open(&rig, &mut servers, json!({ "roots": {} })).await;
    for id in 0..4 {
        script.send(request(id, "roots/list", json!({}))).await;
    }
    let refused = script.next().await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(3), &json!(-32603)));
}

#[tokio::test]
async fn a_client_that_begins_anew_in_its_session_gets_another_one_with_another_server() {
    let (rig, _own, _, mut servers) = rig(Limits::default()).await;
    let (session, _script, proxy) = open(&rig, &mut servers, json!({})).await;
    let reply = rig.post(&session, &initialize("2025-06-18", json!({}))).await;
    assert_eq!(reply.status, StatusCode::OK);
    let another = reply.header("mcp-session-id").unwrap().to_owned();
    let (_another_script, another_proxy) = servers.recv().await.unwrap();
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    for session in [&session, &another] {
        assert_eq!(rig.post(session, &ping).await.status, StatusCode::OK);
        rig.whole(Method::DELETE, &[("mcp-session-id", session)], "").await;
    }
    proxy.over().await;
    another_proxy.over().await;
}

#[tokio::test]
async fn an_opening_is_small_whatever_session_it_names() {
    let (rig, _own, _, mut servers) = rig(Limits::default()).await;
    let (session, _script, _proxy) = open(&rig, &mut servers, json!({})).await;
    let large = initialize("2025-06-18", json!({ "experimental": { "x": "y".repeat(MIB) } }));
    assert_eq!(rig.post(&session, &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_client_that_calls_at_once_counts_as_ready() {
    let (rig, _own, _, mut servers) = rig(Limits::default()).await;
    let session = rig.session().await;
    let (mut script, _proxy) = servers.recv().await.unwrap();
    let quick = call(1, "quick");
    let (_, ()) = tokio::join!(rig.post(&session, &quick), async {
        script.next_of("notifications/initialized").await;
        let request = script.next_of("tools/call").await;
        script.answer(&request, json!({})).await;
    });
}

#[tokio::test]
async fn session_servers_share_one_budget_and_the_largest_holder_loses_its_bytes() {
    let (rig, _own, _, mut servers) = rig(Limits { memory_bytes: 16 * MIB, ..Limits::default() }).await;
    let (greedy, mut of_greedy, _greedy_proxy) = open(&rig, &mut servers, json!({})).await;
    let (modest, mut of_modest, _modest_proxy) = open(&rig, &mut servers, json!({})).await;
    let mut deaf = Vec::new();
    for id in 0..6 {
        let body = call(id, "large").to_string();
        let mut raw = TcpStream::connect(rig.address).await.unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: */*\r\n\
             mcp-session-id: {greedy}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        raw.write_all((head + &body).as_bytes()).await.unwrap();
        deaf.push(raw);
        let request = of_greedy.next().await;
        of_greedy.answer(&request, json!({ "text": "y".repeat(12 * MIB) })).await;
        let quick = call(id, "quick");
        let (reply, ()) = tokio::join!(rig.post(&modest, &quick), async {
            let request = of_modest.next().await;
            of_modest.answer(&request, json!({ "quick": id })).await;
        });
        assert_eq!(reply.json()["result"]["quick"], id);
        assert!(rig.proxy.shared.budget.used() <= 16 * MIB);
    }
    let lost: u64 = rig.proxy.undelivered().iter().map(|one| one.count).sum();
    assert!(lost > 0, "the counts of all of them are the workload's");
}

#[tokio::test]
async fn long_lines_of_servers_that_stop_in_the_middle_are_of_the_budget_too() {
    let (rig, _own, _, mut servers) = rig(Limits { memory_bytes: 16 * MIB, ..Limits::default() }).await;
    let (modest, mut of_modest, _modest_proxy) = open(&rig, &mut servers, json!({})).await;
    let mut stuck = Vec::new();
    for _ in 0..4 {
        let mut opened = open(&rig, &mut servers, json!({})).await;
        opened.1.raw(vec![b'x'; 6 * MIB]).await;
        stuck.push(opened);
    }
    let quick = call(1, "quick");
    let (reply, ()) = tokio::join!(rig.post(&modest, &quick), async {
        let request = of_modest.next().await;
        of_modest.answer(&request, json!({ "text": "y".repeat(MIB) })).await;
    });
    assert_eq!(reply.json()["result"]["text"].as_str().unwrap().len(), MIB);
    let held = rig.proxy.shared.budget.used();
    assert!((5 * MIB..=16 * MIB).contains(&held), "{held}");
    // The call of a line that was given up is told, and the server goes on.
    let (session, script, _) = &mut stuck[0];
    let message = call(1, "x");
    let (reply, ()) = tokio::join!(rig.post(session, &message), async {
        let request = script.next().await;
        script.raw("\n").await;
        script.answer(&request, json!({ "taken": true })).await;
    });
    assert_eq!(reply.json()["result"]["taken"], true);
}

#[tokio::test]
async fn what_a_client_offers_is_kept_for_its_server_and_so_is_short() {
    let (rig, _own, scripts, mut servers) = rig(Limits::default()).await;
    let long = json!({ "x": "y".repeat(5000) });
    let refused = rig.post("", &initialize("2025-06-18", json!({ "roots": long }))).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::OK, json!(-32602)));
    assert!(scripts.offered.lock().unwrap().is_empty(), "no server is started");
    let (_, _script, _proxy) = open(&rig, &mut servers, json!({ "roots": {}, "experimental": long })).await;
    assert_eq!(*scripts.offered.lock().unwrap(), [json!({ "roots": {} })]);
}
