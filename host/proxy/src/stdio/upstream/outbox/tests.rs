use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::http::budget::Budget;
use crate::stdio::upstream::outbox::{Outbox, OutboxError};

#[tokio::test]
async fn lines_arrive_whole_and_in_order_through_a_pipe_that_blocks() {
    let (sink, mut source) = tokio::io::duplex(7);
    let outbox = Arc::new(Outbox::new(Box::new(sink), 1 << 20, Budget::new(1 << 20)));
    let pump = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox.run().await }
    });
    let mut expected = String::new();
    for number in 0..200 {
        let line = format!("line {number} {}\n", "x".repeat(number % 50));
        outbox.push(line.clone().into_bytes()).unwrap();
        outbox.flush();
        expected.push_str(&line);
    }
    let read = tokio::spawn(async move {
        let mut all = String::new();
        source.read_to_string(&mut all).await.map(|_| all)
    });
    outbox.close(Duration::from_secs(60)).await;
    assert_eq!(read.await.unwrap().unwrap(), expected);
    pump.abort();
}

#[tokio::test]
async fn a_server_that_does_not_read_fills_the_queue_and_not_the_memory() {
    let (sink, _source) = tokio::io::duplex(10);
    let outbox = Outbox::new(Box::new(sink), 100, Budget::new(1 << 20));
    assert_eq!(outbox.push(vec![b'x'; 500]), Ok(()), "one message may be larger than the bound");
    outbox.flush();
    assert_eq!(outbox.push(b"y\n".to_vec()), Err(OutboxError::Full));
}

#[tokio::test]
async fn a_closed_pipe_takes_nothing() {
    let (sink, source) = tokio::io::duplex(10);
    let outbox = Outbox::new(Box::new(sink), 100, Budget::new(1 << 20));
    drop(source);
    outbox.push(b"a\n".to_vec()).unwrap();
    outbox.flush();
    assert_eq!(outbox.push(b"b\n".to_vec()), Err(OutboxError::Closed));
}
