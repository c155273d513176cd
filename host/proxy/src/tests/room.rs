//! Sessions with servers of their own that make room for others (`docs/mcp.md`, 12.9).
use std::time::Duration;

use axum::http::StatusCode;
use futures_util::FutureExt;
use serde_json::json;
use tokio::time::Instant;

use crate::protocol::options::Limits;
use crate::stdio::family::Others;
use crate::stdio::proxy::StdioProxy;
use crate::tests::per_session::{open, rig};
use crate::tests::rig::{Script, call, later};

#[tokio::test]
async fn idle_sessions_make_room_for_as_many_as_wait_and_who_never_called_goes_first() {
    let (rig, _own, _, mut servers) = rig(Limits::default()).await;
    let (worked, mut script, of_worked) = open(&rig, &mut servers, json!({})).await;
    let quick = call(1, "quick");
    let (_, ()) = tokio::join!(rig.post(&worked, &quick), async {
        let request = script.next().await;
        script.answer(&request, json!({})).await;
    });
    let (busy, mut busy_script, of_busy) = open(&rig, &mut servers, json!({})).await;
    let long = call(1, "long");
    let _call = tokio::join!(rig.post_stream(&busy, &long), async {
        let _request = busy_script.next().await;
        busy_script.notify("notifications/message", json!({ "level": "info", "data": "at it" })).await;
    });
    later(Duration::from_secs(2)).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(open(&rig, &mut servers, json!({})).await);
    }
    let gone = |proxy: &StdioProxy| proxy.shared.over.is_cancelled();
    let gone_of_idle = |idle: &[(String, Script, StdioProxy)]| idle.iter().filter(|it| gone(&it.2)).count();
    // A flood of clients waits: those whose turn has come have time to call, and nobody else goes for that.
    let next = of_busy.make_room(100, Others::Idle).unwrap();
    assert!(gone_of_idle(&idle) == 0 && !gone(&of_worked), "they were opened just now");
    assert!(next <= Instant::now() + Duration::from_secs(1), "then it is worth to look again");
    later(Duration::from_secs(2)).await;
    // As often as one that waits may ask: the servers of those that went have not ended yet.
    for _ in 0..5 {
        assert_eq!(of_busy.make_room(2, Others::Idle), None);
    }
    assert_eq!(gone_of_idle(&idle), 2);
    assert!(gone(&idle[0].2) && gone(&idle[1].2), "the oldest");
    of_busy.make_room(100, Others::NeverCalled);
    assert!(!gone(&of_worked) && gone_of_idle(&idle) == 3, "others are on their way that have not called");
    of_busy.make_room(100, Others::Idle);
    assert!(gone(&of_worked) && !gone(&of_busy), "nobody at work goes");
}

#[tokio::test]
async fn a_session_that_called_just_now_does_not_make_room() {
    let (rig, _own, _, mut servers) = rig(Limits::default()).await;
    let (session, mut script, proxy) = open(&rig, &mut servers, json!({})).await;
    later(Duration::from_secs(2)).await;
    let quick = call(1, "quick");
    let (_, ()) = tokio::join!(rig.post(&session, &quick), async {
        let request = script.next().await;
        script.answer(&request, json!({})).await;
    });
    assert!(proxy.make_room(1, Others::Idle).is_some() && !proxy.shared.over.is_cancelled());
    later(Duration::from_secs(2)).await;
    assert_eq!(proxy.make_room(1, Others::Idle), None);
    assert!(proxy.shared.over.is_cancelled());
}

#[tokio::test]
async fn who_never_calls_and_gives_signs_of_life_keeps_its_place_and_no_other() {
    let (rig, _own, _, mut servers) = rig(Limits::default()).await;
    let (worked, mut script, of_worked) = open(&rig, &mut servers, json!({})).await;
    let quick = call(1, "quick");
    let (_, ()) = tokio::join!(rig.post(&worked, &quick), async {
        let request = script.next().await;
        script.answer(&request, json!({})).await;
    });
    let (pinging, _script, of_pinging) = open(&rig, &mut servers, json!({})).await;
    later(Duration::from_secs(2)).await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(rig.post(&pinging, &ping).await.status, StatusCode::OK);
    of_pinging.make_room(1, Others::Idle);
    assert!(of_worked.shared.over.is_cancelled() && !of_pinging.shared.over.is_cancelled());
}

#[tokio::test]
async fn who_waits_for_room_hears_of_a_session_that_has_become_idle() {
    let (rig, _own, _, mut servers) = rig(Limits::default()).await;
    let (session, mut script, proxy) = open(&rig, &mut servers, json!({})).await;
    let quick = call(1, "quick");
    let (reply, ()) = tokio::join!(rig.post(&session, &quick), async {
        let request = script.next().await;
        // Rests from before it was at work are passed over.
        while proxy.others_rest().now_or_never().is_some() {}
        script.answer(&request, json!({})).await;
        proxy.others_rest().await;
    });
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_that_reads_a_stream_and_never_called_anything_makes_room_too() {
    let (rig, _own, _, mut servers) = rig(Limits::default()).await;
    let (session, _script, proxy) = open(&rig, &mut servers, json!({})).await;
    let _stream = rig.get(&session, None).await;
    proxy.make_room(1, Others::Idle);
    assert!(!proxy.shared.over.is_cancelled(), "its client may be about to call");
    later(Duration::from_secs(2)).await;
    proxy.make_room(1, Others::NeverCalled);
    assert!(proxy.shared.over.is_cancelled());
}
