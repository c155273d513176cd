//! How long a runtime that does not answer is waited for.
use crate::client::{Deadlines, RuntimeClient};
use crate::connection::{Answer, Connection};
use crate::raw_stream::RawStream;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_sdk::{Capability, Handle, stamp::RuntimeStamp};

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
