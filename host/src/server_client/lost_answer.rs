//! An error in the place of an answer that will not come.
//!
//! Situation: the connection of a request breaks since its server has ended, and the stream cannot be resumed: it had no event with
//! an id, or the session has gone with the server. `rmcp` then waits for the answer for ever. Conclusion: the stream ends with
//! an error for that request. Called by [`crate::server_client::http`]; which words the user reads, `failure.rs` decides.
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use rmcp::model::{ErrorData, RequestId, ServerJsonRpcMessage};
use serde::Deserialize;
use serde::de::IgnoredAny;
use sse_stream::{Error as SseError, Sse};

/// The message of that error.
pub(super) const LOST: &str = "the connection broke off before the answer";

/// The events of an answer's stream.
pub(super) type Events = BoxStream<'static, Result<Sse, SseError>>;

/// What of a message tells whether it is an answer.
#[derive(Deserialize)]
struct Told {
    id: Option<RequestId>,
    result: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

/// The events of the answer to a request. If they end without it, and without an id to go on from, an error is the last.
pub(super) fn or_lost(events: Events, id: RequestId) -> Events {
    let begun = Some((events, id, false));
    stream::unfold(begun, |at| async move {
        let (mut events, id, mut is_settled) = at?;
        match events.next().await {
            Some(Ok(event)) => {
                is_settled = is_settled || event.id.is_some() || answers(&event, &id);
                Some((Ok(event), Some((events, id, is_settled))))
            }
            Some(Err(error)) if is_settled => Some((Err(error), None)),
            None if is_settled => None,
            Some(Err(_)) | None => lost(&id).map(|event| (Ok(event), None)),
        }
    })
    .boxed()
}

/// The stream in the place of one that cannot be resumed.
pub(super) fn unresumed(id: &RequestId) -> Events {
    stream::iter(lost(id).map(Ok)).boxed()
}

fn answers(event: &Sse, id: &RequestId) -> bool {
    let told = event.data.as_deref().and_then(|data| serde_json::from_str::<Told>(data).ok());
    told.is_some_and(|told| told.id.as_ref() == Some(id) && (told.result.is_some() || told.error.is_some()))
}

fn lost(id: &RequestId) -> Option<Sse> {
    let error = ServerJsonRpcMessage::error(ErrorData::internal_error(LOST, None), Some(id.clone()));
    let data = serde_json::to_string(&error).ok()?;
    Some(Sse { data: Some(data), ..Sse::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: Option<&str>, data: &str) -> Result<Sse, SseError> {
        Ok(Sse { id: id.map(str::to_owned), data: Some(data.to_owned()), ..Sse::default() })
    }

    async fn passed(events: Vec<Result<Sse, SseError>>) -> Vec<String> {
        let events = or_lost(stream::iter(events).boxed(), RequestId::Number(7));
        events
            .map(|event| event.map_or_else(|_| "broken".to_owned(), |event| event.data.unwrap()))
            .collect()
            .await
    }

    #[tokio::test]
    async fn a_stream_that_ends_without_its_answer_and_cannot_be_resumed_ends_with_an_error() {
        let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
        let asked = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
        for answer in [
            r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":""}}"#,
        ] {
            assert_eq!(passed(vec![event(None, log), event(None, answer)]).await, [log, answer]);
        }
        let with_id = passed(vec![event(Some("1"), log)]).await;
        assert_eq!(with_id, [log], "it is resumed");
        let lost = passed(vec![event(None, log), event(None, asked)]).await;
        assert_eq!(lost[..2], [log, asked]);
        assert!(lost.len() == 3 && lost[2].contains(LOST) && lost[2].contains("\"id\":7"), "{lost:?}");
        assert!(passed(vec![]).await[0].contains(LOST));
    }
}
