//! A server for each session (`docs/mcp.md`, 12.9).
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::protocol::options::Limits;
use crate::stdio::family::{NoInstance, Starting};
use crate::stdio::proxy::{InstanceSource, StdioProxy};
use crate::tests::rig::{DEADLINE, Rig, Script, call, limited, notification, welcome};

const MIB: usize = 1024 * 1024;

/// Makes scripted servers, and hands out each with its proxy, which is there as long as somebody holds it.
#[derive(Debug)]
struct Scripts {
    made: mpsc::Sender<(Script, StdioProxy)>,
    is_full: AtomicBool,
    fails: AtomicBool,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Script")
    }
}

impl InstanceSource for Scripts {
    fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    fn start(&self, proxy: StdioProxy) -> Starting {
        let (made, fails) = (self.made.clone(), self.fails.load(Ordering::Relaxed));
        Box::pin(async move {
            if fails {
                return Err(NoInstance::Failed);
            }
            let (mut script, stdout, stdin) = Script::new();
            let (connected, _) =
                tokio::join!(proxy.connect(stdout, stdin, DEADLINE), script.greet(welcome()));
            connected.unwrap();
            made.send((script, proxy)).await.unwrap();
            Ok(())
        })
    }
}

type Made = mpsc::Receiver<(Script, StdioProxy)>;

/// A proxy whose own server is connected, and the servers of sessions as they are made.
async fn rig(limits: Limits) -> (Rig, Script, Arc<Scripts>, Made) {
    let (made, servers) = mpsc::channel(16);
    let source = Arc::new(Scripts { made, is_full: AtomicBool::new(false), fails: AtomicBool::new(false) });
    let rig = Rig::of(StdioProxy::per_session(limited(limits), source.clone())).await;
    let own = rig.connect(welcome()).await;
    (rig, own, source, servers)
}

#[tokio::test]
async fn each_session_has_its_server_and_gets_all_that_says_and_nothing_else() {
    let (rig, _own, _, mut servers) = rig(Limits::default()).await;
    let (one, other) = (rig.session().await, rig.session().await);
    let (mut of_one, _one_proxy) = servers.recv().await.unwrap();
    let (mut of_other, _other_proxy) = servers.recv().await.unwrap();
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
    let (one, other) = (rig.session().await, rig.session().await);
    let (_script, of_one) = servers.recv().await.unwrap();
    let (_other_script, of_other) = servers.recv().await.unwrap();
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
async fn a_session_that_gets_no_server_is_not_opened_and_the_idle_one_goes_where_there_are_too_many() {
    let (rig, own, source, mut servers) = rig(Limits::default()).await;
    source.fails.store(true, Ordering::Relaxed);
    let message = crate::tests::rig::initialize("2025-06-18", json!({}));
    let refused = rig.post("", &message).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::SERVICE_UNAVAILABLE, json!(-32603)));
    source.fails.store(false, Ordering::Relaxed);
    let (idle, busy) = (rig.session().await, rig.session().await);
    let (_script, of_idle) = servers.recv().await.unwrap();
    let (mut script, _busy_proxy) = servers.recv().await.unwrap();
    let quick = call(1, "quick");
    let (_, ()) = tokio::join!(rig.post(&busy, &quick), async {
        let request = script.next().await;
        script.answer(&request, json!({})).await;
    });
    source.is_full.store(true, Ordering::Relaxed);
    rig.session().await;
    of_idle.over().await;
    let noted = notification("notifications/initialized", json!({}));
    assert_eq!(rig.post(&idle, &noted).await.status, StatusCode::NOT_FOUND);
    assert_eq!(rig.post(&busy, &noted).await.status, StatusCode::ACCEPTED);
    // Without a server of its own the workload has nobody to ask what it can do.
    drop(own);
    rig.proxy.disconnected().await;
    assert_eq!(rig.post("", &message).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn they_share_one_budget_and_whoever_holds_most_loses_it() {
    let (rig, _own, _, mut servers) = rig(Limits { memory_bytes: 16 * MIB, ..Limits::default() }).await;
    let (greedy, modest) = (rig.session().await, rig.session().await);
    let (mut of_greedy, _greedy_proxy) = servers.recv().await.unwrap();
    let (mut of_modest, _modest_proxy) = servers.recv().await.unwrap();
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
