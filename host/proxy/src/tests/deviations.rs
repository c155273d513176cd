//! Servers that are a little off, one flaw at a time: at the handshake and later. What can only mean one thing is taken as
//! that; what cannot be used ends the wait that it belongs to, at once.
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::protocol::options::Limits;
use crate::protocol::revision::Revision;
use crate::stdio::proxy::StdioProxy;
use crate::stdio::upstream::connection::{ConnectError, PingError, ServerInfo};
use crate::tests::rig::{DEADLINE, Reply, Rig, Script, call, initialize, limited, options, welcome};

/// The line with which a server answers, in which `ID` stands for the id and `RESULT` for the result.
fn line(form: &str, request: &Value, result: &Value) -> String {
    format!("{}\n", form.replace("ID", &request["id"].to_string()).replace("RESULT", &result.to_string()))
}

/// A handshake that is answered in that form.
async fn greeted(form: &str) -> Result<ServerInfo, ConnectError> {
    let (mut script, stdout, stdin) = Script::new();
    let proxy = StdioProxy::new(options());
    let (info, _script) = tokio::join!(proxy.connect(stdout, stdin, DEADLINE), async {
        let request = script.next_of("initialize").await;
        script.raw(line(form, &request, &welcome())).await;
        script
    });
    info
}

/// A call that is answered in that form.
async fn called(form: &str) -> Reply {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let message = call("mine", "x");
    let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
        let request = script.next().await;
        script.raw(line(form, &request, &json!({ "ok": true }))).await;
    });
    reply
}

#[tokio::test]
async fn a_form_that_can_mean_one_thing_alone_is_taken_for_that() {
    for form in [
        "\u{FEFF}{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":RESULT}",
        r#"{"jsonrpc":"2.0","id":"ID","result":RESULT}"#,
        r#"{"jsonrpc":"2.0","id":ID.0,"result":RESULT}"#,
        r#"{"jsonrpc":"2.0","id":ID,"result":RESULT,"error":null}"#,
        r#"{"jsonrpc":"2.0","id":ID,"method":null,"params":null,"result":RESULT,"error":null}"#,
        r#"[{"jsonrpc":"2.0","id":"ID","result":RESULT,"error":null}]"#,
    ] {
        assert_eq!(greeted(form).await.unwrap().name, "scripted", "{form}");
        let reply = called(form).await;
        assert_eq!(reply.body, r#"{"jsonrpc":"2.0","id":"mine","result":{"ok":true}}"#, "{form}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_ends_its_wait_at_once_with_what_was_wrong() {
    for (form, why) in [
        (r#"{"id":ID,"result":RESULT}"#, "jsonrpc is not \"2.0\""),
        (r#"{"jsonrpc":"1.0","id":ID,"result":RESULT}"#, "jsonrpc is not \"2.0\""),
        (r#"{"jsonrpc":"2.0","id":ID,"result":RESULT,"error":{}}"#, "neither a request"),
        (r#"{"jsonrpc":"2.0","id":ID,"error":null}"#, "neither a request"),
        (r#"{"jsonrpc":"2.0","id":ID,"result":1,"result":RESULT}"#, "a member is given twice"),
        (r#"{"jsonrpc":"2.0","id":ID,"result":{"score":NaN}}"#, "not JSON"),
        (r#"{"result":{"score":NaN},"jsonrpc":"2.0","id":"ID"}"#, "not JSON"),
        (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no JSON"}}"#, "id is neither"),
        (r#"{"jsonrpc":"2.0","result":RESULT}"#, "neither a request"),
    ] {
        match greeted(form).await.unwrap_err() {
            ConnectError::Unusable { why: told, excerpt } => {
                assert!(told.contains(why) && !excerpt.is_empty(), "{form}: {told}");
            }
            other => panic!("{form}: {other:?}"),
        }
        let reply = called(form).await;
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!((reply.status, reply.code()), (StatusCode::OK, json!(-32603)), "{form}");
        assert!(
            message.starts_with("the server's answer cannot be used") && message.contains(why),
            "{message}"
        );
    }
}

#[tokio::test]
async fn an_answer_to_the_handshake_with_an_id_that_was_not_asked_with_ends_it() {
    for id in ["0", "4711", "\"x\"", "{}", "1.5"] {
        let form = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":RESULT}}"#);
        assert!(matches!(greeted(&form).await, Err(ConnectError::Unusable { .. })), "{form}");
    }
    // A server that counts for itself: its answer has the id of the process before.
    let rig = Rig::unconnected(options()).await;
    drop(rig.connect(welcome()).await);
    rig.proxy.disconnected().await;
    let (mut script, stdout, stdin) = Script::new();
    let (info, _script) = tokio::join!(rig.proxy.connect(stdout, stdin, DEADLINE), async {
        script.next_of("initialize").await;
        script.send(json!({ "jsonrpc": "2.0", "id": 1, "result": welcome() })).await;
        script
    });
    assert!(matches!(info, Err(ConnectError::Unusable { .. })), "{info:?}");
}

#[tokio::test]
async fn output_in_utf_16_is_told_at_once() {
    for big in [false, true] {
        let units = "\u{FEFF}{\"jsonrpc\":\"2.0\"}\n".encode_utf16();
        let bytes: Vec<u8> =
            units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
        let (mut script, stdout, stdin) = Script::new();
        let proxy = StdioProxy::new(options());
        let (info, _script) = tokio::join!(proxy.connect(stdout, stdin, DEADLINE), async {
            script.next_of("initialize").await;
            script.raw(bytes).await;
            script
        });
        let Err(ConnectError::Unusable { why, .. }) = info else { panic!("{info:?}") };
        assert!(why.contains("UTF-16"), "{why}");
    }
}

#[tokio::test]
async fn half_an_emoji_passes_and_is_replaced_only_where_a_text_is_shown() {
    let rig = Rig::unconnected(options()).await;
    let (mut script, stdout, stdin) = Script::new();
    let result = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"tasks":{}},"n":1.50,
        "serverInfo":{"name":"half \ud83d","version":"1"},"instructions":"a \ud83d b"}"#;
    let (info, ()) = tokio::join!(rig.proxy.connect(stdout, stdin, DEADLINE), async {
        let request = script.next_of("initialize").await;
        let result = result.replace('\n', "");
        script.raw(format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}\n", request["id"])).await;
        script.next_of("notifications/initialized").await;
    });
    let info = info.unwrap();
    assert_eq!((info.name.as_str(), info.instructions.as_deref()), ("half \u{FFFD}", Some("a \u{FFFD} b")));
    let reply = rig.post("", &initialize("2025-06-18", json!({}))).await;
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(text.contains(r#""instructions":"a \ud83d b""#) && text.contains(r#""n":1.50"#), "{text}");
    assert!(text.contains(r#""protocolVersion":"2025-06-18","capabilities":{"tools":{}}"#), "{text}");

    // In a refusal, and in what the server asks and says on its own.
    let form = r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":"no \ud83d"}}"#;
    let Err(ConnectError::Refused { code: -32000, message, .. }) = greeted(form).await else { panic!() };
    assert!(message.contains("no "), "{message}");
    let session = reply.header("mcp-session-id").unwrap();
    script.raw("{\"jsonrpc\":\"2.0\",\"id\":\"\\ud83d\",\"method\":\"odd/\\ud83d\"}\n").await;
    let answer = script.input.next_line().await.unwrap().unwrap();
    assert!(answer.contains(r#""id":"\ud83d","error""#), "{answer}");
    let message = call("\u{1F600}", "x");
    let (reply, ()) = tokio::join!(rig.post(session, &message), async {
        let request = script.next().await;
        script
            .raw(line(r#"{"jsonrpc":"2.0","id":ID,"result":{"t":"\ude00"}}"#, &request, &Value::Null))
            .await;
    });
    assert!(reply.body.windows(6).any(|part| part == br"\ude00"), "{:?}", reply.body);
}

/// A handshake with a server that speaks one revision alone and refuses every other one with this `data`.
async fn negotiated(data: Value, speaks: &str) -> (Result<ServerInfo, ConnectError>, Vec<Value>) {
    let (mut script, stdout, stdin) = Script::new();
    let proxy = StdioProxy::new(options());
    let (info, asked) = tokio::join!(proxy.connect(stdout, stdin, DEADLINE), async {
        let mut asked = Vec::new();
        while let Ok(Some(text)) = script.input.next_line().await {
            let request: Value = serde_json::from_str(&text).unwrap();
            if request["method"] != "initialize" {
                break;
            }
            let version = request["params"]["protocolVersion"].clone();
            asked.push(version.clone());
            if version == speaks {
                let result = json!({ "protocolVersion": version, "capabilities": {} });
                script.answer(&request, result).await;
            } else {
                let error =
                    json!({ "code": -32602, "message": "Unsupported protocol version", "data": data });
                script.send(json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })).await;
            }
            if asked.len() == 2 || version == speaks || data["supported"] == json!(["1.0"]) {
                break;
            }
        }
        asked
    });
    (info, asked)
}

#[tokio::test]
async fn a_server_that_refuses_a_revision_and_names_others_is_asked_once_more() {
    let asked_twice = [json!("2025-11-25"), json!("2025-03-26")];
    for data in [
        json!({ "supported": ["2024-11-05", "2025-03-26", "2030-01-01"], "requested": "2025-11-25" }),
        json!({ "expected": "2025-03-26" }),
    ] {
        let (info, asked) = negotiated(data.clone(), "2025-03-26").await;
        assert_eq!(info.unwrap().protocol_version, "2025-03-26", "{data}");
        assert_eq!(asked, asked_twice, "{data}");
    }
    let (info, asked) = negotiated(json!({ "supported": ["1.0"] }), "1.0").await;
    let error = info.unwrap_err();
    assert!(error.to_string().contains("it named the revisions 1.0"), "{error}");
    assert_eq!(asked.len(), 1, "nothing in common: it is not asked again");
    let (info, asked) = negotiated(json!({ "supported": ["2025-06-18"] }), "none").await;
    assert!(matches!(info, Err(ConnectError::Refused { .. })) && asked.len() == 2, "once more, not for ever");
    assert_eq!(Revision::NEWEST.as_str(), "2025-11-25", "what was asked for first");
}

#[tokio::test]
async fn a_ping_whose_answer_cannot_be_used_is_not_waited_out() {
    let (rig, mut script) = Rig::start().await;
    let (answer, ()) = tokio::join!(rig.proxy.ping(DEADLINE), async {
        let request = script.next_of("ping").await;
        script.raw(line(r#"{"jsonrpc":"1.0","id":ID,"result":RESULT}"#, &request, &json!({}))).await;
    });
    assert_eq!(answer, Err(PingError::Unusable { why: "jsonrpc is not \"2.0\"".into() }));
}

#[tokio::test]
async fn a_log_that_looks_like_json_and_an_answer_that_nobody_asked_for_fail_no_call() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let message = call(1, "x");
    let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
        let request = script.next().await;
        let id = &request["id"];
        script.raw(format!("{{\"level\":\"info\",\"id\":{id},\"error\":null}}\n")).await;
        script.raw(format!("{{\"level\":\"error\",\"id\":{id},\"error\":\"no table\"}}\n")).await;
        script.raw("{\"msg\":\"done\",\"result\":{\"rows\":1}}\n").await;
        script.raw("{\"jsonrpc\":\"2.0\",\"id\":4711,\"result\":{}}\n[]\n").await;
        script
            .raw("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"notifications/tools/list_changed\"}\n")
            .await;
        script.answer(&request, json!({ "right": true })).await;
    });
    assert_eq!(reply.json()["result"], json!({ "right": true }));
}

#[tokio::test]
async fn a_broken_message_in_a_batch_fails_the_call_that_it_answers_and_no_other() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let (one, two) = (call(1, "a"), call(2, "b"));
    let answered = async {
        tokio::join!(rig.post(&session, &one), rig.post(&session, &two), async {
            let (first, second) = (script.next().await, script.next().await);
            let told =
                r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":{"error":NaN}}}"#;
            let whole = json!({ "jsonrpc": "2.0", "id": first["id"], "result": {} });
            let broken = format!(r#"{{"jsonrpc":"2.0","id":{},"result":NaN}}"#, second["id"]);
            script.raw(format!("[{told}]\n[{whole},{broken}]\n")).await;
        })
    };
    let (one, two, ()) = tokio::time::timeout(Duration::from_secs(60), answered).await.expect("both end");
    let mut answers = [one.json(), two.json()];
    answers.sort_by_key(|answer| answer["error"].is_object());
    assert_eq!((&answers[0]["result"], &answers[1]["error"]["code"]), (&json!({}), &json!(-32603)));
    // Of a call that waits alone, too.
    let message = call(3, "c");
    let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
        let request = script.next().await;
        let params = r#"{"level":"info","data":{"error":NaN}}"#;
        script
            .raw(format!(
                "[{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{params}}}]\n"
            ))
            .await;
        script.answer(&request, json!({ "right": true })).await;
    });
    assert_eq!(reply.json()["result"], json!({ "right": true }));
}

#[tokio::test]
async fn a_log_with_its_time_in_brackets_is_told_as_it_is() {
    let (mut script, stdout, stdin) = Script::new();
    let proxy = StdioProxy::new(options());
    let (info, ()) = tokio::join!(proxy.connect(stdout, stdin, DEADLINE), async {
        script.next_of("initialize").await;
        script.raw("[2024] no such table\n").await;
        drop(script);
    });
    let Err(ConnectError::Exited { excerpt }) = info else { panic!("{info:?}") };
    assert_eq!(excerpt.as_deref(), Some("[2024] no such table"));
}

#[tokio::test]
async fn a_batch_that_is_too_long_is_taken_as_far_as_it_is_whole() {
    let limits = Limits { line_bytes: 100_000, ..Limits::default() };
    let (rig, mut script) = Rig::with(limited(limits)).await;
    let session = rig.session().await;
    let (one, two) = (call(1, "a"), call(2, "b"));
    let (one, two, ()) = tokio::join!(rig.post(&session, &one), rig.post(&session, &two), async {
        let (first, second) = (script.next().await, script.next().await);
        let answer = |request: &Value, text: String| json!({ "jsonrpc": "2.0", "id": request["id"], "result": { "text": text } });
        script.send(json!([answer(&first, "short".into()), answer(&second, "y".repeat(100_000))])).await;
    });
    let mut answers = [one.json(), two.json()];
    answers.sort_by_key(|answer| answer["error"].is_object());
    assert_eq!(answers[0]["result"]["text"], "short");
    assert!(answers[1]["error"]["message"].as_str().unwrap().contains("too long"), "{}", answers[1]);
}

#[tokio::test]
async fn progress_with_its_token_as_text_reaches_its_call() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let mut message = call(1, "x");
    message["params"]["_meta"] = json!({ "progressToken": "mine" });
    let (mut stream, request) = tokio::join!(rig.post_stream(&session, &message), async {
        let request = script.next().await;
        let token = request["id"].to_string();
        script.notify("notifications/progress", json!({ "progressToken": token, "progress": 1 })).await;
        request
    });
    script.answer(&request, json!({})).await;
    assert_eq!(stream.event().await.unwrap().json()["params"]["progressToken"], "mine");
}

#[tokio::test]
async fn a_client_is_forgiven_what_can_mean_one_thing_alone() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let body =
        "\u{FEFF}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":null,\"error\":null}";
    let (reply, request) = tokio::join!(rig.post_raw(&session, body), async {
        let request = script.next_of("tools/list").await;
        script.answer(&request, json!({ "tools": [] })).await;
        request
    });
    assert_eq!(reply.json()["result"], json!({ "tools": [] }));
    assert!(request.get("params").is_none() && request.get("error").is_none(), "{request}");
    let refused = rig.post_raw(&session, r#"{"jsonrpc":"2.0","id":null,"method":"tools/list"}"#).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "a request whose answer would reach nobody");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_has_arrived_is_waited_out() {
    let began = tokio::time::Instant::now();
    greeted(r#"{"id":ID,"result":RESULT}"#).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
