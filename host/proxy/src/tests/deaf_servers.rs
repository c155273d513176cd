//! Servers of sessions that do not read their input.
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use crate::protocol::options::Limits;
use crate::stdio::proxy::StdioProxy;
use crate::tests::per_session::{MIB, open, rig};
use crate::tests::rig::{Rig, Script, call, later, notification, request};

#[tokio::test]
async fn lines_for_servers_that_do_not_read_leave_room_for_the_others() {
    let (rig, _own, _, mut servers) = rig(Limits { memory_bytes: 16 * MIB, ..Limits::default() }).await;
    let (modest, mut of_modest, _modest_proxy) = open(&rig, &mut servers, json!({})).await;
    let large = notification("vendor/large", json!({ "text": "z".repeat(3 * MIB) }));
    let mut deaf = Vec::new();
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let opened = open(&rig, &mut servers, json!({})).await;
        statuses.push(rig.post(&opened.0, &large).await.status);
        deaf.push(opened);
    }
    assert_eq!(statuses[0], StatusCode::ACCEPTED);
    assert_eq!(statuses[5], StatusCode::SERVICE_UNAVAILABLE);
    assert!(rig.proxy.shared.budget.used() <= 8 * MIB, "half of it is for lines");
    let quick = call(1, "quick");
    let (reply, ()) = tokio::join!(rig.post(&modest, &quick), async {
        let request = of_modest.next().await;
        of_modest.answer(&request, json!({ "text": "y".repeat(MIB) })).await;
    });
    assert_eq!(reply.json()["result"]["text"].as_str().unwrap().len(), MIB);
}

/// Answers whatever is asked.
async fn serve(script: &mut Script) -> Infallible {
    loop {
        let request = script.next().await;
        script.answer(&request, json!({ "done": true })).await;
    }
}

/// A call whose answer is as large as its line, in a session whose server reads.
async fn modest_call(rig: &Rig, session: &str, script: &mut Script) {
    let large = request(1, "tools/call", json!({ "name": "x", "text": "z".repeat(MIB) }));
    let (reply, ()) = tokio::join!(rig.post(session, &large), async {
        let request = script.next().await;
        script.answer(&request, json!({ "text": request["params"]["text"] })).await;
    });
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["result"]["text"].as_str().unwrap().len(), MIB);
}

#[tokio::test]
async fn what_waits_for_a_server_that_does_not_read_makes_room_for_those_that_do() {
    let limits = Limits { memory_bytes: 16 * MIB, stdin_queue_bytes: 4 * MIB, ..Limits::default() };
    let (rig, _own, _, mut servers) = rig(limits).await;
    let (modest, mut of_modest, _modest_proxy) = open(&rig, &mut servers, json!({})).await;
    let (one, mut of_one, one_proxy) = open(&rig, &mut servers, json!({})).await;
    let (other, mut of_other, other_proxy) = open(&rig, &mut servers, json!({})).await;
    let large = |id| request(id, "tools/call", json!({ "name": "x", "text": "z".repeat(2 * MIB - 1024) }));
    let calls = [large(1), large(2)];
    let mut posts = pin!(async {
        tokio::join!(
            rig.post(&one, &calls[0]),
            rig.post(&one, &calls[1]),
            rig.post(&other, &calls[0]),
            rig.post(&other, &calls[1])
        )
    });
    // The servers have begun to read one line of each pair.
    let waiting = async {
        for proxy in [&one_proxy, &other_proxy] {
            while proxy.shared.locked(|state| state.waiting_lines()) < 3 * MIB {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    tokio::select! {
        _ = &mut posts => panic!("nobody answers"),
        () = waiting => {}
    }
    tokio::select! {
        _ = &mut posts => panic!("one call alone made room"),
        () = modest_call(&rig, &modest, &mut of_modest) => {}
    }
    // When they read at last, they find whole lines, and all but the one that was given up.
    let replies = tokio::select! {
        replies = &mut posts => replies,
        _ = serve(&mut of_one) => unreachable!(),
        _ = serve(&mut of_other) => unreachable!(),
    };
    let replies = [replies.0, replies.1, replies.2, replies.3];
    let failed: Vec<_> = replies.iter().filter(|reply| reply.json()["error"].is_object()).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].code(), -32603);
    assert!(failed[0].json()["error"]["message"].as_str().unwrap().contains("was not asked"), "{failed:?}");
    let done = replies.iter().filter(|reply| reply.json()["result"]["done"] == true).count();
    assert_eq!(done, 3);
}

#[tokio::test]
async fn an_answer_that_made_room_is_an_error_for_the_server_that_waits_for_it() {
    let limits = Limits { memory_bytes: 16 * MIB, stdin_queue_bytes: 6 * MIB, ..Limits::default() };
    let (rig, _own, _, mut servers) = rig(limits).await;
    let (modest, mut of_modest, _modest_proxy) = open(&rig, &mut servers, json!({})).await;
    let (deaf, mut of_deaf, _deaf_proxy) = open(&rig, &mut servers, json!({ "roots": {} })).await;
    of_deaf.send(request("r-1", "roots/list", json!({}))).await;
    let mut stream = rig.get(&deaf, None).await;
    let asked = stream.event().await.unwrap().json();
    let text = "z".repeat(3 * MIB - 1024);
    let first = notification("vendor/large", json!({ "text": text }));
    assert_eq!(rig.post(&deaf, &first).await.status, StatusCode::ACCEPTED);
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "roots": [], "text": text } });
    assert_eq!(rig.post(&deaf, &answer).await.status, StatusCode::ACCEPTED);
    let (third, _of_third, _third_proxy) = open(&rig, &mut servers, json!({})).await;
    let more = notification("vendor/large", json!({ "text": "z".repeat(2 * MIB) }));
    assert_eq!(rig.post(&third, &more).await.status, StatusCode::ACCEPTED);
    modest_call(&rig, &modest, &mut of_modest).await;
    assert_eq!(of_deaf.next().await["params"]["text"].as_str().unwrap().len(), text.len());
    let answer = of_deaf.next().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("r-1"), &json!(-32603)));
}

#[tokio::test]
async fn a_session_ends_whose_server_stops_in_the_middle_of_a_line_while_others_have_no_room() {
    let limits = Limits { memory_bytes: 16 * MIB, ..Limits::default() };
    let (rig, _own, _, mut servers) = rig(limits).await;
    let (modest, mut of_modest, _modest_proxy) = open(&rig, &mut servers, json!({})).await;
    let large = notification("vendor/large", json!({ "text": "z".repeat(2 * MIB + MIB / 8) }));
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let opened = open(&rig, &mut servers, json!({})).await;
        assert_eq!(rig.post(&opened.0, &large).await.status, StatusCode::ACCEPTED);
        deaf.push(opened);
    }
    let ended = |deaf: &[(String, Script, StdioProxy)]| {
        deaf.iter().filter(|(_, _, proxy)| proxy.shared.over.is_cancelled()).count()
    };
    // They may go on to read; and one message more is not too much.
    modest_call(&rig, &modest, &mut of_modest).await;
    assert_eq!(ended(&deaf), 0);
    later(Duration::from_secs(6)).await;
    modest_call(&rig, &modest, &mut of_modest).await;
    assert_eq!(ended(&deaf), 1);
    assert!(rig.proxy.shared.budget.used() < 7 * MIB, "what waited for it is given back at once");
}
