use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::http::budget::Budget;
use crate::stdio::upstream::outbox::{Outbox, OutboxError, SHORT_LINE};

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

#[tokio::test]
async fn long_lines_of_which_nothing_is_written_can_be_given_up_and_the_others_stay_whole() {
    let (sink, mut source) = tokio::io::duplex(10);
    let budget = Budget::new(1 << 20);
    let outbox = Outbox::new(Box::new(sink), 1 << 20, budget.clone());
    let long = |byte: u8| [vec![byte; SHORT_LINE], b"\n".to_vec()].concat();
    for line in [long(b'a'), long(b'b'), b"c\n".to_vec(), long(b'd')] {
        outbox.push(line).unwrap();
        outbox.flush();
    }
    let mut given_up = Vec::new();
    let freed = outbox.shed(|line| {
        given_up.push(line[0]);
        (line[0] == b'd').then(|| b"e\n".to_vec())
    });
    assert_eq!((given_up.as_slice(), freed), (&b"bd"[..], 2 * (SHORT_LINE + 1) - 2));
    assert_eq!((outbox.waiting(), budget.used()), (SHORT_LINE + 1 - 10 + 4, outbox.waiting()));
    assert_eq!(outbox.shed(|_| None), 0, "what is begun stays");
    let read = tokio::spawn(async move {
        let mut all = String::new();
        source.read_to_string(&mut all).await.map(|_| all)
    });
    outbox.close(Duration::from_secs(60)).await;
    let expected = [long(b'a'), b"c\ne\n".to_vec()].concat();
    assert_eq!(read.await.unwrap().unwrap().as_bytes(), expected);
}

#[tokio::test]
async fn a_discarded_queue_holds_nothing_and_takes_nothing() {
    let (sink, mut source) = tokio::io::duplex(10);
    let budget = Budget::new(1 << 20);
    let outbox = Outbox::new(Box::new(sink), 1 << 20, budget.clone());
    outbox.push([vec![b'a'; SHORT_LINE], b"\n".to_vec()].concat()).unwrap();
    outbox.flush();
    outbox.discard();
    assert_eq!((outbox.waiting(), budget.used()), (0, 0));
    assert_eq!(outbox.push(b"b\n".to_vec()), Err(OutboxError::Closed));
    let mut all = Vec::new();
    assert_eq!(source.read_to_end(&mut all).await.unwrap(), 10, "the server sees the end of its input");
}
