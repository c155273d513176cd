//! Small answers that nobody reads (`docs/mcp.md`, 15): no error can take their place, and the memory is full of them.
//!
//! A proxy that looked for room for ever would hold up its thread, and each timeout on it: these run on a thread beside the
//! test's.
use std::sync::mpsc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::protocol::options::Limits;
use crate::tests::per_session;
use crate::tests::rig::{POST, Rig, Stream, call, limited, request, stream};

const MIB: usize = 1024 * 1024;

/// Runs a test on a thread of its own; fails if it does not end.
fn within_a_minute(test: impl AsyncFnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(60)).expect("it ends, and as it should");
}

fn limits() -> Limits {
    Limits { memory_bytes: MIB, ..Limits::default() }
}

/// A hundred pings, of which each answer is twice as long as its ping: these characters are escaped in it.
fn pings() -> Vec<Value> {
    (0..100).map(|number| request(format!("{}{number}", "\u{2028}".repeat(150)), "ping", json!({}))).collect()
}

async fn post_batch(rig: &Rig, session: &str, batch: Vec<Value>) -> Stream {
    let headers = [POST[0], POST[1], ("mcp-session-id", session)];
    stream(rig.send(Method::POST, &headers, Value::Array(batch).to_string()).await)
}

#[test]
fn streams_that_have_ended_make_room_and_their_session_goes_on() {
    within_a_minute(async || {
        let (rig, mut script) = Rig::with(limited(limits())).await;
        let session = rig.open("2025-03-26", json!({})).await;
        for _ in 0..16 {
            let mut read = post_batch(&rig, &session, pings()).await;
            while read.event().await.is_some() {}
        }
        assert!(rig.proxy.shared.budget.used() <= MIB);
        let message = call(1, "quick");
        let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
            let request = script.next_of("tools/call").await;
            script.answer(&request, json!({})).await;
        });
        assert_eq!(reply.status, StatusCode::OK);
        // A connection may still have been at work on what it had been given.
        let lost = rig.proxy.undelivered();
        assert!(lost.iter().all(|one| one.count < 100), "what had been read is no loss: {lost:?}");
    });
}

/// Batches of pings with a call that is not answered, so that their streams cannot end, until there is no more room for the
/// session.
async fn fill(rig: &Rig, session: &str) {
    let mut open = Vec::new();
    for number in 0..16 {
        let mut batch = pings();
        batch.push(call(number, "slow"));
        let begun = post_batch(rig, session, batch).await;
        if begun.status == StatusCode::NOT_FOUND {
            break;
        }
        open.push(begun);
    }
    assert!(open.len() < 16 && rig.proxy.shared.budget.used() <= MIB / 2);
    let ping = request("alive", "ping", json!({}));
    assert_eq!(rig.post(session, &ping).await.status, StatusCode::NOT_FOUND);
}

#[test]
fn a_session_of_which_nothing_else_can_go_ends_and_the_server_is_told() {
    within_a_minute(async || {
        let (rig, mut script) = Rig::with(limited(limits())).await;
        let session = rig.open("2025-03-26", json!({})).await;
        fill(&rig, &session).await;
        while script.next().await["method"] != "notifications/cancelled" {}
        let ping = request("alive", "ping", json!({}));
        assert_eq!(rig.post(&rig.session().await, &ping).await.status, StatusCode::OK);
    });
}

#[test]
fn a_session_with_a_server_of_its_own_ends_with_that_server() {
    within_a_minute(async || {
        let (rig, _own, _, mut servers) = per_session::rig(limits()).await;
        let session = rig.open("2025-03-26", json!({})).await;
        let (mut script, proxy) = servers.recv().await.unwrap();
        fill(&rig, &session).await;
        while script.next().await["method"] != "notifications/cancelled" {}
        proxy.over().await;
    });
}
