//! A runtime that does not answer: how long the host waits for it, and what the host refuses without asking it.
use crate::client::RuntimeClient;
use crate::connection::{Answer, Connection};
use crate::deadlines::{Deadlines, Purpose};
use crate::error::CallError;
use crate::raw_stream::RawStream;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_sdk::{Capability, ErrorCode, Handle, ListQuery, LogOptions, WorkloadSpec, stamp::RuntimeStamp};

/// A runtime that never answers.
struct Silent;

impl Connection for Silent {
    fn call(&self, _: &'static str, _: String) -> Answer<String> {
        Box::pin(std::future::pending())
    }

    fn open(&self, _: &'static str, _: String) -> Answer<RawStream> {
        Box::pin(std::future::pending())
    }

    fn shut_down(&self, _: u64) -> Answer<()> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fetches_an_image_has_the_time_of_a_deployment() {
    let deadlines = Deadlines::default();
    let handle = Handle { uid: "u".to_owned(), version: 1, data: serde_json::Value::Null };
    for (capabilities, within) in
        [(vec![], deadlines.change), (vec![Capability::FETCHES_AT_START], deadlines.deploy)]
    {
        let (name, accepts) = ("silent".to_owned(), vec![]);
        let stamp = RuntimeStamp { name, capabilities, accepts, priority: 0 };
        let client = RuntimeClient::new(stamp, Arc::new(Silent), deadlines);
        let began = Instant::now();
        assert!(client.start(&handle).await.is_err());
        assert_eq!(began.elapsed().as_secs(), within.as_secs());
        assert!(within > Duration::from_secs(1));
    }
}

/// How long the client waits for an answer that never comes, in seconds.
async fn waited<T>(answer: impl Future<Output = Result<T, CallError>>) -> u64 {
    let began = Instant::now();
    assert!(answer.await.is_err());
    began.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn who_changes_something_waits_longer_for_an_answer_than_who_shows_it() {
    let deadlines = Deadlines::default();
    let handle = Handle { uid: "u".to_owned(), version: 1, data: serde_json::Value::Null };
    let (name, capabilities) = ("silent".to_owned(), vec![]);
    let stamp = RuntimeStamp { name, capabilities, accepts: vec![], priority: 0 };
    let client = RuntimeClient::new(stamp, Arc::new(Silent), deadlines);
    let (shown, asked) = (deadlines.read.as_secs(), deadlines.ask.as_secs());
    assert!(shown < asked);
    assert_eq!(waited(client.list(&ListQuery::ALL, Purpose::Show)).await, shown);
    assert_eq!(waited(client.list(&ListQuery::ALL, Purpose::Change)).await, asked);
    assert_eq!(waited(client.look("host", "u", Purpose::Change)).await, asked);
    assert_eq!(waited(client.instance()).await, asked);
    assert_eq!(waited(client.inspect(&handle)).await, asked);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_has_no_times_for_logs_refuses_them_by_name() {
    let handle = Handle { uid: "u".to_owned(), version: 1, data: serde_json::Value::Null };
    let (name, capabilities) = ("silent".to_owned(), vec![Capability::LOGS]);
    let stamp = RuntimeStamp { name, capabilities, accepts: vec![], priority: 0 };
    let client = RuntimeClient::new(stamp, Arc::new(Silent), Deadlines::default());
    let options = LogOptions { timestamps: true, ..LogOptions::default() };
    let error = client.logs(&handle, options).await.err().unwrap();
    assert_eq!(error.code(), Some(ErrorCode::Unsupported));
    let told = wharf_model::chain(&error);
    assert!(told.contains("the runtime 'silent' has no 'log-timestamps'"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_accepts_no_kind_is_asked_about_whatever_names_it() {
    let spec: WorkloadSpec = serde_json::from_value(serde_json::json!({
        "uid": "u", "name": "n", "host_id": "h", "transport": { "kind": "stdio" },
        "source": { "kind": "image", "reference": "registry.example/time:1" },
    }))
    .unwrap();
    for (accepts, is_refused) in [(vec![], false), (vec!["image"], false), (vec!["command"], true)] {
        let accepts: Vec<String> = accepts.into_iter().map(str::to_owned).collect();
        let (name, capabilities) = ("silent".to_owned(), vec![Capability::STDIO, Capability::ATTACH]);
        let stamp = RuntimeStamp { name, capabilities, accepts: accepts.clone(), priority: 0 };
        let client = RuntimeClient::new(stamp, Arc::new(Silent), Deadlines::default());
        let error = client.validate(&spec).await.unwrap_err();
        assert_eq!(error.code() == Some(ErrorCode::Unsupported), is_refused, "{accepts:?}: {error}");
    }
}
