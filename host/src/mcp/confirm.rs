//! Asks a person, through the client, whether something is to be done: by elicitation, in both eras of the protocol.
//!
//! Called by the server for what the allow-list does not name. In the session-based era the client is asked and answers; in
//! the stateless one the call is answered with the question, and repeated with the answer. Then a nonce, which is used once,
//! binds the answer to the very request that was shown.
use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, ClientResult, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationSchema, InputRequest, InputRequests, InputRequiredResult, JsonObject, ProtocolVersion,
    ServerRequest,
};
use rmcp::service::RequestContext;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use wharf_model::random_hex;

/// How long a person may think.
const PATIENCE: Duration = Duration::from_secs(300);
/// More questions are not open at a time: the oldest is forgotten.
const OPEN_MAX: usize = 32;
/// The question's name in a result, and the member of its answer.
const QUESTION: &str = "approval";
const APPROVE: &str = "approve";

/// The answer to a question.
pub(super) enum Said {
    /// A person has agreed.
    Yes,
    /// A person has not.
    No,
    /// Nobody can be asked.
    Nobody,
    /// The client is to ask, and to repeat the call.
    Ask(InputRequiredResult),
}

/// Questions of the stateless era that are open: the nonce, what was asked for, since when.
#[derive(Default)]
pub(super) struct Open(Mutex<BTreeMap<String, (String, Instant)>>);

impl Open {
    fn add(&self, asked: String) -> Option<String> {
        let nonce = random_hex().ok()?;
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, (_, since)| since.elapsed() < PATIENCE);
        while open.len() >= OPEN_MAX {
            let oldest = open.iter().min_by_key(|(_, (_, since))| *since).map(|(nonce, _)| nonce.clone())?;
            open.remove(&oldest);
        }
        open.insert(nonce.clone(), (asked, Instant::now()));
        Some(nonce)
    }

    /// Whether this was asked with this nonce; it is forgotten.
    fn take(&self, nonce: &str, asked: &str) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(nonce).is_some_and(|(was, since)| was == asked && since.elapsed() < PATIENCE)
    }
}

/// Asks a person about `told`, which is the whole of `request`.
pub(super) async fn ask(
    context: &RequestContext<RoleServer>,
    open: &Open,
    request: &CallToolRequestParams,
    told: &str,
) -> Said {
    let is_stateless = context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
    let asked = digest(request);
    if is_stateless && let (Some(nonce), Some(answers)) = (&request.request_state, &request.input_responses) {
        if !open.take(nonce, &asked) {
            return Said::No;
        }
        let answer = answers.get(QUESTION).cloned().unwrap_or_default();
        return of(serde_json::from_value(answer).ok().as_ref());
    }
    let can = context.client_capabilities().and_then(|client| client.elicitation);
    // A client that says neither means forms.
    if !can.is_some_and(|can| can.form.is_some() || can.url.is_none()) {
        return Said::Nobody;
    }
    let Some(question) = question(told) else { return Said::Nobody };
    if is_stateless {
        let Some(nonce) = open.add(asked) else { return Said::Nobody };
        let requests = InputRequests::from([(QUESTION.to_owned(), InputRequest::Elicitation(question))]);
        return Said::Ask(InputRequiredResult::new(Some(requests), Some(nonce)));
    }
    let answer = context.peer.send_request(ServerRequest::ElicitRequest(question));
    tokio::select! {
        answer = answer => match answer {
            Ok(ClientResult::ElicitResult(answer)) => of(Some(&answer)),
            Ok(_) | Err(_) => Said::No,
        },
        () = context.ct.cancelled() => Said::No,
        () = tokio::time::sleep(PATIENCE) => Said::No,
    }
}

/// Nothing but a clear yes is one.
fn of(answer: Option<&ElicitResult>) -> Said {
    let is_yes = answer.is_some_and(|answer| {
        answer.action == ElicitationAction::Accept
            && answer.content.as_ref().is_some_and(|content| content[APPROVE] == json!(true))
    });
    if is_yes { Said::Yes } else { Said::No }
}

fn question(told: &str) -> Option<ElicitRequest> {
    let schema = json!({
        "type": "object",
        "properties": { APPROVE: {
            "type": "boolean", "title": "Do this", "description": "Yes, if this is what you want", "default": false,
        } },
        "required": [APPROVE],
    });
    let schema: JsonObject = serde_json::from_value(schema).ok()?;
    let requested_schema = ElicitationSchema::from_json_schema(schema).ok()?;
    let params =
        ElicitRequestParams::FormElicitationParams { meta: None, message: told.to_owned(), requested_schema };
    Some(ElicitRequest::new(params))
}

/// The digest of a call, without anything that the client adds when it repeats the call.
fn digest(request: &CallToolRequestParams) -> String {
    let asked = json!([request.name, request.arguments]).to_string();
    Sha256::digest(asked.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_for_the_request_that_was_shown_and_counts_once() {
        let open = Open::default();
        let asked = |server: &str| {
            let arguments = json!({ "server": server }).as_object().cloned().unwrap();
            digest(&CallToolRequestParams::new("run_server").with_arguments(arguments))
        };
        let nonce = open.add(asked("a")).unwrap();
        assert!(open.take(&nonce, &asked("a")));
        assert!(!open.take(&nonce, &asked("a")), "it was used");
        let nonce = open.add(asked("a")).unwrap();
        assert!(!open.take(&nonce, &asked("b")), "another one was shown");
        assert!(!open.take(&nonce, &asked("a")), "and that was that");
        let first = open.add(asked("a")).unwrap();
        for _ in 0..OPEN_MAX {
            open.add(asked("b")).unwrap();
        }
        assert!(!open.take(&first, &asked("a")), "their number has a bound");
    }

    #[test]
    fn nothing_but_a_clear_yes_is_one() {
        let answer = |action, content| ElicitResult::new(action).with_content(content);
        let is_yes = |answer: Option<ElicitResult>| matches!(of(answer.as_ref()), Said::Yes);
        assert!(is_yes(Some(answer(ElicitationAction::Accept, json!({ "approve": true })))));
        for no in [
            None,
            Some(answer(ElicitationAction::Accept, json!({ "approve": false }))),
            Some(answer(ElicitationAction::Accept, json!({ "approve": "true" }))),
            Some(answer(ElicitationAction::Accept, json!({}))),
            Some(answer(ElicitationAction::Decline, json!({ "approve": true }))),
            Some(answer(ElicitationAction::Cancel, json!({ "approve": true }))),
            Some(ElicitResult::new(ElicitationAction::Accept)),
        ] {
            assert!(!is_yes(no));
        }
    }
}
