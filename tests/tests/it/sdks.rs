//! Clients of the official SDKs share a server behind the proxy: the differences that they notice.
use serde_json::{Value, json};
use wharf_tests::host::Host;
use wharf_tests::sdks::{SDKS, Sdk, have_sdks, run_server};

/// Runs these scenarios with each SDK's client, each on a workload of its own, and checks the reports. `options` are those of
/// `run`, `arguments` the server's.
fn all_try(options: &[&str], arguments: &[&str], scenarios: &[&str], check: impl Fn(&Value, Sdk) + Sync) {
    if !have_sdks() {
        return;
    }
    std::thread::scope(|scope| {
        for sdk in SDKS {
            let check = &check;
            scope.spawn(move || {
                let host = Host::new();
                let url = run_server(&host, options, arguments);
                let seen = sdk.tries(&url, scenarios);
                check(&seen, sdk);
            });
        }
    });
}

#[test]
fn each_sdk_gets_all_answers_all_logs_and_questions_meant_for_it() {
    all_try(&[], &[], &["many", "burst", "too_deep", "asked", "alone", "refused"], |seen, _| {
        assert_eq!(seen["many"], 200);
        assert_eq!(seen["burst"], json!({ "answer": "logged 1000", "logs": 1000, "inOrder": true }));
        assert_eq!(seen["too_deep"], json!({ "failure": -32603, "soon": true }));
        let asked = json!({ "forgotten": "cancelled", "answer": "LLM response: Ada", "questions": ["who?"] });
        assert_eq!(seen["asked"], asked);
        assert_eq!(seen["alone"], json!(["said later"]));
        // The status, and no broken connection: the body is larger than any socket's buffers.
        assert_eq!(seen["refused"], 413);
    });
}

#[test]
fn each_sdk_waits_for_a_slow_call_and_resumes_it_over_a_broken_connection() {
    let on_stdio: [&[&str]; 2] = [&[], &[]];
    // Its streams are the server's own, which refuses to resume one that it takes for open.
    let over_http: [&[&str]; 2] = [&["--transport", "streamable-http"], &["--http"]];
    for [options, arguments] in [on_stdio, over_http] {
        all_try(options, arguments, &["slow"], |seen, sdk| {
            // Its revision knows no empty first event, which is what a stream is resumed by (docs/mcp.md).
            let breaks = u8::from(!matches!(sdk, Sdk::TypeScript("sdk-0")));
            assert_eq!(
                seen["slow"],
                json!({ "answer": "slept 12000 ms", "breaks": breaks }),
                "{arguments:?}"
            );
        });
    }
}

#[test]
fn of_two_clients_of_an_sdk_neither_gets_what_may_be_the_others() {
    all_try(&[], &[], &["crossing", "two"], |seen, _| {
        assert_eq!(seen["crossing"], json!([]));
        let nothing = json!({ "logs": [], "questions": [] });
        let expected = json!({ "outcomes": "refused: -32603", "one": nothing, "other": nothing });
        assert_eq!(seen["two"], expected);
    });
}

#[test]
fn with_a_server_for_each_session_each_client_of_an_sdk_gets_what_is_its_own() {
    all_try(&["--instances", "per-session"], &[], &["asked", "crossing", "two", "rooted"], |seen, _| {
        assert_eq!(seen["rooted"], json!(["file:///of/one", "file:///of/other", "not offered"]));
        let asked = json!({ "forgotten": "cancelled", "answer": "LLM response: Ada", "questions": ["who?"] });
        assert_eq!(seen["asked"], asked);
        assert_eq!(seen["crossing"], json!([]));
        let nothing = json!({ "logs": [], "questions": [] });
        let own = json!({ "logs": ["of one"], "questions": ["of one"] });
        // The other one's server was never asked to ask anybody.
        assert_eq!(seen["two"], json!({ "outcomes": "", "one": own, "other": nothing }));
    });
}
