use crate::protocol::message::{Id, Message, MessageError, Rewrite, Shape};

fn parse(text: &str) -> Result<Message, MessageError> {
    Message::parse(&text.to_owned().into(), 128)
}

#[test]
fn requests_notifications_and_responses_are_told_apart() {
    let id = |raw: &str| Id::from_json(raw.as_bytes()).unwrap();
    let shape = |text| parse(text).unwrap().shape().clone();
    assert_eq!(
        shape(r#"{"jsonrpc":"2.0","id":"a","method":"m"}"#),
        Shape::Request { id: id("\"a\""), method: "m".into() }
    );
    assert_eq!(shape(r#"{"jsonrpc":"2.0","method":"m"}"#), Shape::Notification { method: "m".into() });
    assert_eq!(
        shape(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
        Shape::Response { id: id("1"), is_error: false }
    );
}

#[test]
fn a_text_that_is_no_message_is_refused_with_its_id_if_it_has_one() {
    let cases = [
        (r#"[]"#, None),
        (r#"5"#, None),
        (r#"{}"#, None),
        (r#"{"id":3,"method":"m"}"#, Some("3")),
        (r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, None),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#, None),
        (r#"{"jsonrpc":"2.0","id":1e3,"method":"m"}"#, None),
        (r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#, None),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","method":"n"}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1}"#, Some("1")),
    ];
    for (text, expected) in cases {
        let Err(MessageError::Invalid { id, .. }) = parse(text) else { panic!("{text} was taken") };
        assert_eq!(id, expected.and_then(|raw| Id::from_json(raw.as_bytes())), "{text}");
    }
}

#[test]
fn ids_keep_their_type_and_have_one_spelling() {
    let id = |raw: &str| Id::from_json(raw.as_bytes());
    assert_ne!(id("1"), id("\"1\""));
    assert_eq!(id("\"\\u0061\""), id("\"a\""));
    assert_eq!(id("\"\\u2028\"").unwrap().as_json(), b"\"\\u2028\"", "no line end in a line");
    assert_eq!(id("-9007199254740993").unwrap().as_json(), b"-9007199254740993");
    assert!(id("null").is_none() && id("-").is_none() && id("1.0").is_none());
}

#[test]
fn rewriting_replaces_ids_and_leaves_the_payload_alone() {
    let message = parse(
        r#"{"id":"x","jsonrpc":"2.0","method":"tools/call","params":{"task":{"ttl":1},"arguments":{"id":1,"n":1.50},
           "_meta":{"progressToken":"t","traceparent":"00-1","io.modelcontextprotocol/logLevel":"debug"}},"extra":[1, 2]}"#,
    )
    .unwrap();
    let change = Rewrite { id: Some(b"42"), progress_token: Some(b"42"), strip: true, ..Rewrite::default() };
    assert_eq!(
        String::from_utf8(message.rewritten(&change)).unwrap(),
        concat!(
            r#"{"id":42,"jsonrpc":"2.0","method":"tools/call","params":{"arguments":{"id":1,"n":1.50},"#,
            r#""_meta":{"progressToken":42,"traceparent":"00-1"}},"extra":[1,2]}"#
        )
    );
    assert_eq!(message.clone().rewritten(&Rewrite::default()), message.text());
}

#[test]
fn an_answer_gets_its_clients_id_back() {
    let answer = parse(r#"{"jsonrpc":"2.0","result":{"id":5}, "id":123456}"#).unwrap();
    assert_eq!(answer.text_with_id(b"\"a\""), br#"{"jsonrpc":"2.0","result":{"id":5},"id":"a"}"#);
}
