//! A server goes on after its answer, and need not notice a cancellation: messages that may concern one client reach no
//! other.
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::protocol::options::Limits;
use crate::tests::rig::{
    Rig, Script, Stream, WORK_AFTER_CALL, call, during, later, limited, notification, request,
};

const CAN_SAMPLE: fn() -> Value = || json!({ "sampling": {} });

fn sampling(id: Value) -> Value {
    request(id, "sampling/createMessage", json!({ "messages": [] }))
}

async fn log(script: &mut Script, text: &str) {
    script.notify("notifications/message", json!({ "level": "error", "data": text })).await;
}

/// A call of a session that the server answers at once.
async fn answered(rig: &Rig, script: &mut Script, session: &str) {
    let message = call(1, "quick");
    let (reply, ()) = tokio::join!(rig.post(session, &message), async {
        let request = script.next().await;
        script.answer(&request, json!({})).await;
    });
    assert_eq!(reply.status, StatusCode::OK);
}

/// A call of a session that its client cancels, and that the server never answers.
async fn cancelled(rig: &Rig, script: &mut Script, session: &str) -> Value {
    let message = call(1, "slow");
    let (_, request) = tokio::join!(rig.post(session, &message), async {
        let request = script.next_of("tools/call").await;
        rig.post(session, &notification("notifications/cancelled", json!({ "requestId": 1 }))).await;
        script.next_of("notifications/cancelled").await;
        request
    });
    request
}

/// The server's question is refused.
async fn is_refused(script: &mut Script, id: &str) -> String {
    script.send(sampling(json!(id))).await;
    let refused = script.next().await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(id), &json!(-32603)));
    refused["error"]["message"].as_str().unwrap().to_owned()
}

/// Resolves once the proxy has read all that the server has sent.
async fn all_read(script: &mut Script) {
    script.send(request("seen", "ping", json!({}))).await;
    assert_eq!(script.next().await["id"], "seen");
}

/// The text of the next log message on a stream, which nothing else comes before.
async fn logged(stream: &mut Stream) -> Value {
    let event = stream.event().await.unwrap().json();
    assert_eq!(event["method"], "notifications/message", "{event}");
    event["params"]["data"].clone()
}

fn count(rig: &Rig, what: &str, why: &str) -> u64 {
    let all = rig.proxy.undelivered();
    all.iter().find(|entry| entry.what == what && entry.why.contains(why)).map_or(0, |entry| entry.count)
}

#[tokio::test]
async fn a_cancelled_call_counts_for_a_bounded_time_and_no_longer() {
    let (rig, mut script) = Rig::start().await;
    let one = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let other = rig.open("2025-06-18", CAN_SAMPLE()).await;
    cancelled(&rig, &mut script, &one).await;
    later(WORK_AFTER_CALL - Duration::from_secs(5)).await;
    let (mut stream, request) = during!(rig, other, script, call(1, "next"), |request| {
        log(&mut script, "about the cancelled call").await;
        is_refused(&mut script, "about the cancelled call").await;
        later(Duration::from_secs(5)).await;
        log(&mut script, "of the next call").await;
        script.send(sampling(json!("mine"))).await;
    });
    assert_eq!(logged(&mut stream).await, "of the next call");
    assert_eq!(stream.event().await.unwrap().json()["method"], "sampling/createMessage");
    script.answer(&request, json!({})).await;
    assert_eq!(count(&rig, "log message", "several clients"), 1);
    assert_eq!(count(&rig, "request of the server", "several clients"), 1);
}

#[tokio::test]
async fn a_client_that_is_started_again_is_not_kept_from_its_own_messages() {
    let (rig, mut script) = Rig::start().await;
    let before = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let message = call(1, "slow");
    tokio::join!(rig.post(&before, &message), async {
        script.next_of("tools/call").await;
        rig.send(Method::DELETE, &[("mcp-session-id", &before)], "").await;
        script.next_of("notifications/cancelled").await;
    });
    let after = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let (mut stream, request) = during!(rig, after, script, call(1, "next"), |request| {
        is_refused(&mut script, "too early").await;
        later(WORK_AFTER_CALL).await;
        script.send(sampling(json!("in time"))).await;
    });
    assert_eq!(stream.event().await.unwrap().json()["method"], "sampling/createMessage");
    script.answer(&request, json!({})).await;
}

#[tokio::test]
async fn progress_of_a_cancelled_call_shows_that_the_server_is_at_work_on_it() {
    let (rig, mut script) = Rig::start().await;
    let (one, other) = (rig.session().await, rig.session().await);
    let request = cancelled(&rig, &mut script, &one).await;
    later(WORK_AFTER_CALL / 2).await;
    script.notify("notifications/progress", json!({ "progressToken": request["id"], "progress": 1 })).await;
    all_read(&mut script).await;
    let (mut stream, request) = during!(rig, other, script, call(1, "next"), |request| {
        later(WORK_AFTER_CALL / 2 + Duration::from_secs(1)).await;
        log(&mut script, "whose?").await;
        all_read(&mut script).await;
        later(WORK_AFTER_CALL / 2).await;
        log(&mut script, "of this call").await;
    });
    assert_eq!(logged(&mut stream).await, "of this call", "the first that it got");
    script.answer(&request, json!({})).await;
}

#[tokio::test]
async fn progress_counts_no_longer_than_its_session_and_the_time_after_it() {
    let (rig, mut script) = Rig::start().await;
    let one = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let other = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let request = cancelled(&rig, &mut script, &one).await;
    rig.send(Method::DELETE, &[("mcp-session-id", &one)], "").await;
    let (mut stream, request) = during!(rig, other, script, call(1, "next"), |_next| {
        for step in 1..=2 {
            is_refused(&mut script, "not certain").await;
            let progress = json!({ "progressToken": request["id"], "progress": step });
            script.notify("notifications/progress", progress).await;
            all_read(&mut script).await;
            later(WORK_AFTER_CALL / 2).await;
        }
        script.send(sampling(json!("in time"))).await;
    });
    assert_eq!(stream.event().await.unwrap().json()["method"], "sampling/createMessage");
    script.answer(&request, json!({})).await;
}

#[tokio::test]
async fn more_cancelled_calls_than_are_remembered_count_as_long() {
    let limits = Limits { in_flight: 4096, in_flight_per_session: 4096, ..Limits::default() };
    let (rig, mut script) = Rig::with(limited(limits)).await;
    let one = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let other = rig.open("2025-06-18", CAN_SAMPLE()).await;
    for _ in 0..1030 {
        cancelled(&rig, &mut script, &one).await;
    }
    let (mut stream, request) = during!(rig, other, script, call(1, "next"), |request| {
        is_refused(&mut script, "too early").await;
        later(WORK_AFTER_CALL).await;
        script.send(sampling(json!("in time"))).await;
    });
    assert_eq!(stream.event().await.unwrap().json()["method"], "sampling/createMessage");
    script.answer(&request, json!({})).await;
    assert_eq!(script.next().await["id"], "in time", "its call is over");
    // A lone client, too.
    let lone = rig.open("2025-06-18", CAN_SAMPLE()).await;
    for session in [&one, &other] {
        rig.send(Method::DELETE, &[("mcp-session-id", session)], "").await;
    }
    later(WORK_AFTER_CALL).await;
    let (mut stream, request) = during!(rig, lone, script, call(1, "next"), |request| {
        script.send(sampling(json!("mine"))).await;
    });
    assert_eq!(stream.event().await.unwrap().json()["method"], "sampling/createMessage");
    script.answer(&request, json!({})).await;
}

#[tokio::test]
async fn a_notification_soon_after_an_answer_reaches_no_other_client() {
    let (rig, mut script) = Rig::start().await;
    let one = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let other = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let mut of_one = rig.get(&one, None).await;
    let mut of_other = rig.get(&other, None).await;
    for late in [Duration::from_millis(200), Duration::from_millis(1500)] {
        answered(&rig, &mut script, &one).await;
        later(late).await;
        log(&mut script, "after the answer").await;
        assert_eq!(logged(&mut of_one).await, "after the answer");
        // While the other one has a call open, it is not certain whose it is.
        let message = call(1, "slow");
        let (reply, ()) = tokio::join!(rig.post(&other, &message), async {
            let request = script.next().await;
            log(&mut script, "whose?").await;
            is_refused(&mut script, "whose?").await;
            script.answer(&request, json!({})).await;
        });
        assert_eq!(reply.header("content-type"), Some("application/json"));
        later(WORK_AFTER_CALL).await;
    }
    log(&mut script, "of nobody's work").await;
    assert_eq!(logged(&mut of_one).await, "of nobody's work");
    assert_eq!(logged(&mut of_other).await, "of nobody's work", "the first that it ever got");
}

#[tokio::test]
async fn a_notification_about_a_client_that_has_left_reaches_nobody() {
    let (rig, mut script) = Rig::start().await;
    let one = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let last = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let mut stream = rig.get(&last, None).await;
    answered(&rig, &mut script, &one).await;
    rig.send(Method::DELETE, &[("mcp-session-id", &one)], "").await;
    is_refused(&mut script, "for who left").await;
    log(&mut script, "for who left").await;
    script.notify("vendor/told", json!({})).await;
    all_read(&mut script).await;
    later(WORK_AFTER_CALL).await;
    script.send(sampling(json!("for who is there"))).await;
    let event = stream.event().await.unwrap().json();
    assert_eq!(event["method"], "sampling/createMessage", "nothing came before it");
    assert_eq!(count(&rig, "log message", "has gone"), 1);
    assert_eq!(count(&rig, "unknown notification", "not certain"), 1);
}

#[tokio::test]
async fn a_question_outside_of_calls_and_its_answer_are_work_too() {
    let (rig, mut script) = Rig::start().await;
    let one = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let mut of_one = rig.get(&one, None).await;
    script.send(sampling(json!("q"))).await;
    let asked = of_one.event().await.unwrap().json();
    // Another client comes while the question is open.
    let other = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let (mut stream, request) = during!(rig, other, script, call(1, "next"), |request| {
        is_refused(&mut script, "whose?").await;
        let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "of": "one" } });
        assert_eq!(rig.post(&one, &answer).await.status, StatusCode::ACCEPTED);
        assert_eq!(script.next().await["id"], "q");
        log(&mut script, "about the answer").await;
        is_refused(&mut script, "whose?").await;
        later(WORK_AFTER_CALL).await;
        log(&mut script, "of this call").await;
    });
    assert_eq!(logged(&mut stream).await, "of this call", "the first that it got");
    script.answer(&request, json!({})).await;
    assert_eq!(count(&rig, "log message", "several clients"), 1);
}

#[tokio::test]
async fn a_notification_that_was_passed_on_is_work_too() {
    let (rig, mut script) = Rig::start().await;
    let (one, other) = (rig.session().await, rig.session().await);
    let told = notification("vendor/look_at", json!({ "folder": "/home/one" }));
    assert_eq!(rig.post(&one, &told).await.status, StatusCode::ACCEPTED);
    script.next_of("vendor/look_at").await;
    let (mut stream, request) = during!(rig, other, script, call(1, "next"), |request| {
        log(&mut script, "of /home/one").await;
        all_read(&mut script).await;
        later(WORK_AFTER_CALL).await;
        log(&mut script, "of this call").await;
    });
    assert_eq!(logged(&mut stream).await, "of this call", "the first that it got");
    script.answer(&request, json!({})).await;
}

#[tokio::test]
async fn an_ended_server_is_at_work_for_nobody() {
    let (rig, mut script) = Rig::start().await;
    let one = rig.open("2025-06-18", CAN_SAMPLE()).await;
    let other = rig.open("2025-06-18", CAN_SAMPLE()).await;
    cancelled(&rig, &mut script, &one).await;
    answered(&rig, &mut script, &one).await;
    drop(script);
    rig.proxy.disconnected().await;
    let mut script = rig.connect(crate::tests::rig::welcome()).await;
    let (mut stream, request) = during!(rig, other, script, call(1, "next"), |request| {
        script.send(sampling(json!("mine"))).await;
    });
    assert_eq!(stream.event().await.unwrap().json()["method"], "sampling/createMessage");
    script.answer(&request, json!({})).await;
}

#[tokio::test]
async fn a_million_messages_for_nobody_are_a_number() {
    let (rig, mut script) = Rig::start().await;
    let (one, other) = (rig.session().await, rig.session().await);
    answered(&rig, &mut script, &one).await;
    answered(&rig, &mut script, &other).await;
    let line = format!("{}\n", notification("notifications/message", json!({ "level": "error", "data": 1 })));
    let many = line.repeat(1000);
    for _ in 0..20 {
        script.raw(&many).await;
    }
    // The next answer comes after all of them.
    answered(&rig, &mut script, &one).await;
    assert_eq!(count(&rig, "log message", "several clients"), 20_000);
}

/// The ids of the events that a session gets with one call, and of the question in it.
async fn shown_to(rig: &Rig, script: &mut Script, session: &str) -> [Value; 3] {
    let _get = rig.get(session, None).await;
    let (mut stream, _) = during!(rig, session, script, call(1, "x"), |request| {
        script.send(sampling(json!("q"))).await;
        script.answer(&request, json!({})).await;
    });
    // The question ends with the call.
    assert_eq!(script.next().await["id"], "q");
    let (primed, asked) = (stream.event().await.unwrap(), stream.event().await.unwrap());
    [json!(primed.id), json!(asked.id), asked.json()["id"].clone()]
}

#[tokio::test]
async fn no_number_that_a_client_is_shown_counts_the_others() {
    let (rig, mut script) = Rig::start().await;
    let mut shown = Vec::new();
    for _ in 0..3 {
        let session = rig.open("2025-11-25", CAN_SAMPLE()).await;
        shown.push(shown_to(&rig, &mut script, &session).await);
        rig.whole(Method::DELETE, &[("mcp-session-id", session.as_str())], "").await;
        later(WORK_AFTER_CALL).await;
    }
    assert!(shown.iter().all(|one| *one == shown[0]), "{shown:?}");
}

#[tokio::test]
async fn what_the_server_is_asked_for_on_a_sessions_behalf_is_work_too() {
    let (rig, mut script) = Rig::start().await;
    let (one, other) = (rig.session().await, rig.session().await);
    let mut of_other = rig.get(&other, None).await;
    let set = |level: &str| request(1, "logging/setLevel", json!({ "level": level }));
    let subscribe = request(2, "resources/subscribe", json!({ "uri": "f://one" }));
    rig.post(&one, &set("debug")).await;
    script.next_of("logging/setLevel").await;
    log(&mut script, "the level is debug now").await;
    all_read(&mut script).await;
    tokio::join!(rig.post(&one, &subscribe), async {
        let request = script.next_of("resources/subscribe").await;
        script.answer(&request, json!({})).await;
    });
    later(WORK_AFTER_CALL).await;
    // The server is started again, and is told both once more.
    drop(script);
    rig.proxy.disconnected().await;
    let mut script = rig.connect(crate::tests::rig::welcome()).await;
    script.next_of("logging/setLevel").await;
    script.next_of("resources/subscribe").await;
    log(&mut script, "subscribed to f://one").await;
    all_read(&mut script).await;
    later(WORK_AFTER_CALL).await;
    rig.send(Method::DELETE, &[("mcp-session-id", &one)], "").await;
    script.next_of("resources/unsubscribe").await;
    script.next_of("logging/setLevel").await;
    log(&mut script, "unsubscribed from f://one").await;
    all_read(&mut script).await;
    later(WORK_AFTER_CALL).await;
    log(&mut script, "of nobody's work").await;
    for _ in 0..3 {
        assert!(of_other.event().await.unwrap().json()["method"].as_str().unwrap().ends_with("list_changed"));
    }
    assert_eq!(logged(&mut of_other).await, "of nobody's work", "the first that it got");
}
