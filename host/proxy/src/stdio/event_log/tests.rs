use std::task::Waker;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::protocol::options::Limits;
use crate::stdio::event_log::{EventId, Stream, StreamKind, Taken};

fn limits() -> Limits {
    Limits {
        ring_events: 3,
        ring_bytes: 1000,
        stream_queue_events: 5,
        stream_queue_bytes: 2000,
        ..Limits::default()
    }
}

fn stream() -> Stream {
    Stream::new(7, StreamKind::Post, false, Instant::now())
}

fn read(stream: &mut Stream, reader: u64) -> String {
    let mut all = String::new();
    while let Taken::Events(bytes) = stream.take(reader, 65536, Waker::noop()) {
        all.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    all
}

#[test]
fn events_are_replayed_after_the_one_that_was_seen() {
    let mut stream = stream();
    for text in ["a", "b", "c"] {
        stream.push(text.as_bytes(), &limits());
    }
    let reader = stream.attach(Some(1), None).unwrap();
    let frames = "id: 7-2\nevent: message\ndata: b\n\nid: 7-3\nevent: message\ndata: c\n\n";
    assert_eq!(read(&mut stream, reader), frames);
    stream.finish();
    assert_eq!(stream.take(reader, 65536, Waker::noop()), Taken::Ended);
}

#[test]
fn what_was_evicted_or_never_sent_cannot_be_resumed() {
    let mut stream = stream();
    for _ in 0..5 {
        stream.push(b"x", &limits());
    }
    assert!(stream.attach(Some(0), None).is_none(), "event 1 is gone");
    assert!(stream.attach(Some(1), None).is_none(), "event 2 is gone");
    assert!(stream.attach(Some(6), None).is_none(), "event 6 was never sent");
    assert!(stream.attach(Some(2), None).is_some());
    assert!(stream.attach(Some(5), None).is_some());
}

#[test]
fn a_connected_reader_may_lag_further_than_the_ring() {
    let mut stream = stream();
    let reader = stream.attach(None, None).unwrap();
    for _ in 0..5 {
        stream.push(b"x", &limits());
    }
    assert_eq!(read(&mut stream, reader).matches("data: x").count(), 5);
}

#[test]
fn a_reader_beyond_the_queue_is_dropped_and_the_ring_is_kept() {
    let mut stream = stream();
    let abort = CancellationToken::new();
    let reader = stream.attach(None, Some(abort.clone())).unwrap();
    for _ in 0..6 {
        stream.push(b"x", &limits());
    }
    assert!(abort.is_cancelled() && !stream.is_read());
    assert_eq!(stream.take(reader, 65536, Waker::noop()), Taken::Dropped);
    let reader = stream.attach(Some(3), None).unwrap();
    assert_eq!(read(&mut stream, reader).matches("data: x").count(), 3);
}

#[test]
fn bytes_are_bounded_but_one_large_message_is_delivered() {
    let mut stream = stream();
    let reader = stream.attach(None, None).unwrap();
    stream.push(&[b'y'; 5000], &limits());
    assert!(stream.is_read());
    assert!(read(&mut stream, reader).len() > 5000);
    stream.push(b"z", &limits());
    assert!(stream.attach(Some(0), None).is_none(), "the large one was evicted");
    assert!(stream.attach(Some(1), None).is_some());
}

#[test]
fn a_second_reader_takes_the_first_ones_place() {
    let mut stream = stream();
    let first = stream.attach(None, None).unwrap();
    let second = stream.attach(None, None).unwrap();
    stream.push(b"x", &limits());
    assert_eq!(stream.take(first, 65536, Waker::noop()), Taken::Dropped);
    stream.detach(first, &limits());
    assert!(read(&mut stream, second).contains("data: x"));
}

#[test]
fn a_primed_stream_begins_with_an_empty_event() {
    let mut stream = Stream::new(9, StreamKind::Get, true, Instant::now());
    let reader = stream.attach(None, None).unwrap();
    assert_eq!(read(&mut stream, reader), "id: 9-0\nretry: 1000\ndata: \n\n");
    stream.push(b"x", &limits());
    stream.detach(reader, &limits());
    let reader = stream.attach(Some(0), None).unwrap();
    assert_eq!(read(&mut stream, reader), "id: 9-1\nevent: message\ndata: x\n\n");
}

#[test]
fn event_ids_are_two_numbers() {
    assert_eq!(EventId::parse("3-17"), Some(EventId { stream: 3, sequence: 17 }));
    for text in ["", "3", "3-", "-1", "a-b", "3-17-1", "99999999999999999999-1"] {
        assert_eq!(EventId::parse(text), None, "{text}");
    }
}
