use std::task::Waker;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::budget::{Account, Budget};
use crate::protocol::message::Id;
use crate::protocol::options::Limits;
use crate::stdio::event_log::shed::Shed;
use crate::stdio::event_log::{EventId, Importance, Stream, StreamKind, Taken};

fn limits() -> Limits {
    Limits {
        ring_events: 3,
        ring_bytes: 1000,
        stream_queue_events: 5,
        stream_queue_bytes: 2000,
        ..Limits::default()
    }
}

fn account() -> Account {
    Account::new(&Budget::new(1 << 20))
}

/// A stream that is read by nobody until a reader attaches.
fn stream() -> Stream {
    Stream::new(7, StreamKind::Get, false, account(), Instant::now())
}

fn post_stream() -> Stream {
    Stream::new(7, StreamKind::Post, false, account(), Instant::now())
}

fn push(stream: &mut Stream, text: &[u8]) {
    assert!(stream.push(text, Importance::Needed, &limits()));
}

fn push_answer(stream: &mut Stream, text: &[u8]) {
    let id = Id::from_json(b"1").unwrap();
    assert!(stream.push(text, Importance::Answer(id), &limits()));
}

fn read(stream: &mut Stream, reader: u64) -> String {
    let mut all = String::new();
    while let Taken::Events(bytes) = stream.take(reader, 65536, Waker::noop(), &limits()) {
        all.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    all
}

#[test]
fn events_are_replayed_after_the_one_that_was_seen() {
    let mut stream = stream();
    for text in ["a", "b", "c"] {
        push(&mut stream, text.as_bytes());
    }
    let reader = stream.attach(Some(1), None).unwrap();
    let frames = "id: 7-2\nevent: message\ndata: b\n\nid: 7-3\nevent: message\ndata: c\n\n";
    assert_eq!(read(&mut stream, reader), frames);
    stream.finish();
    assert_eq!(stream.take(reader, 65536, Waker::noop(), &limits()), Taken::Ended);
}

#[test]
fn a_stream_cannot_be_resumed_after_an_evicted_or_unknown_event() {
    let mut stream = stream();
    for _ in 0..5 {
        push(&mut stream, b"x");
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
        push(&mut stream, b"x");
    }
    assert_eq!(read(&mut stream, reader).matches("data: x").count(), 5);
}

#[test]
fn a_reader_beyond_the_queue_is_dropped_and_the_ring_is_kept() {
    let mut stream = stream();
    let abort = CancellationToken::new();
    let reader = stream.attach(None, Some(abort.clone())).unwrap();
    for _ in 0..6 {
        push(&mut stream, b"x");
    }
    assert!(abort.is_cancelled() && !stream.is_read());
    assert_eq!(stream.take(reader, 65536, Waker::noop(), &limits()), Taken::Dropped);
    let reader = stream.attach(Some(3), None).unwrap();
    assert_eq!(read(&mut stream, reader).matches("data: x").count(), 3);
}

#[test]
fn bytes_are_bounded_but_one_large_message_is_delivered() {
    let mut stream = stream();
    let reader = stream.attach(None, None).unwrap();
    push(&mut stream, &[b'y'; 5000]);
    assert!(stream.is_read());
    assert!(read(&mut stream, reader).len() > 5000);
    push(&mut stream, b"z");
    assert!(stream.attach(Some(0), None).is_none(), "the large one was evicted");
    assert!(stream.attach(Some(1), None).is_some());
}

#[test]
fn a_second_reader_takes_the_first_ones_place() {
    let mut stream = stream();
    let first = stream.attach(None, None).unwrap();
    let second = stream.attach(None, None).unwrap();
    push(&mut stream, b"x");
    assert_eq!(stream.take(first, 65536, Waker::noop(), &limits()), Taken::Dropped);
    stream.detach(first, &limits());
    assert!(read(&mut stream, second).contains("data: x"));
}

#[test]
fn a_primed_stream_begins_with_an_empty_event() {
    let mut stream = Stream::new(9, StreamKind::Get, true, account(), Instant::now());
    let reader = stream.attach(None, None).unwrap();
    assert_eq!(read(&mut stream, reader), "id: 9-0\nretry: 1000\ndata: \n\n");
    push(&mut stream, b"x");
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

#[test]
fn a_posts_stream_keeps_a_burst_for_the_reader_that_is_on_the_way() {
    let mut stream = post_stream();
    for text in ["a", "b", "c", "d", "e"] {
        push(&mut stream, text.as_bytes());
    }
    let reader = stream.attach(None, None).unwrap();
    assert_eq!(read(&mut stream, reader).matches("data: ").count(), 5, "more than the ring holds");
}

#[test]
fn log_messages_are_dropped_and_never_the_reader_or_the_answer() {
    for mut stream in [stream(), post_stream()] {
        let reader = stream.attach(None, None).unwrap();
        let kept = (0..100).filter(|_| stream.push(b"log", Importance::Droppable, &limits())).count();
        assert_eq!(kept, limits().stream_queue_events);
        let answer = Importance::Answer(Id::from_json(b"1").unwrap());
        if stream.kind() == StreamKind::Post {
            assert!(stream.push(b"answer", answer, &limits()));
            assert!(read(&mut stream, reader).ends_with("data: answer\n\n"));
        } else {
            assert_eq!(read(&mut stream, reader).matches("data: log").count(), kept);
        }
        assert!(stream.push(b"log", Importance::Droppable, &limits()), "there is room again");
    }
}

#[test]
fn a_large_event_is_gone_once_it_was_read() {
    let budget = Budget::new(1 << 20);
    let account = Account::new(&budget);
    let mut stream = Stream::new(7, StreamKind::Post, false, account.clone(), Instant::now());
    push(&mut stream, &[b'y'; 5000]);
    stream.finish();
    assert!(account.held() > 5000, "it waits for its reader");
    let reader = stream.attach(None, None).unwrap();
    let Taken::Events(taken) = stream.take(reader, 65536, Waker::noop(), &limits()) else { panic!() };
    assert!(account.held() > 5000, "the connection has it");
    drop(taken);
    assert_eq!(account.held(), 0);
    assert_eq!(stream.take(reader, 65536, Waker::noop(), &limits()), Taken::Ended);
}

#[test]
fn an_answer_in_the_place_of_a_read_one_is_evicted_whatever_its_id() {
    let mut stream = post_stream();
    let reader = stream.attach(None, None).unwrap();
    let long = format!("\"{}\"", "i".repeat(Limits::default().id_bytes - 2));
    let answer = Importance::Answer(Id::from_json(long.as_bytes()).unwrap());
    assert!(stream.push(&[b'y'; 5000], answer, &limits()));
    read(&mut stream, reader);
    // Another call of the same batch goes on.
    for _ in 0..5 {
        push(&mut stream, b"x");
    }
    assert_eq!(read(&mut stream, reader).matches("data: x").count(), 5);
    push(&mut stream, b"x");
    assert!(stream.ring.len() <= limits().ring_events && stream.bytes <= limits().ring_bytes);
}

#[test]
fn an_unread_answer_that_makes_room_becomes_an_error() {
    let budget = Budget::new(1 << 20);
    let account = Account::new(&budget);
    let mut stream = Stream::new(7, StreamKind::Post, true, account.clone(), Instant::now());
    push(&mut stream, &[b'n'; 700]);
    let answer = |id: &[u8]| Importance::Answer(Id::from_json(id).unwrap());
    assert!(stream.push(&[b'y'; 5000], answer(b"1"), &limits()));
    assert!(stream.push(b"small", answer(b"2"), &limits()));
    account.write_off();
    let fresh = Account::new(&budget);
    assert_eq!(stream.shed(fresh.clone()), Shed { answers: 1, others: 1 });
    assert!(budget.used() == fresh.held() && fresh.held() < 1000);
    assert_eq!(stream.unread_answers(), 1, "the other one is counted already");
    let reader = stream.attach(None, None).unwrap();
    let text = read(&mut stream, reader);
    assert!(
        text.starts_with("id: 7-2\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\""),
        "{text}"
    );
    assert!(text.ends_with("data: small\n\n"));
}

#[test]
fn a_stream_that_has_ended_may_go_whole_once_nobody_reads_it() {
    let mut stream = post_stream();
    push_answer(&mut stream, b"answer");
    stream.finish();
    assert!(!stream.may_go_whole(), "its reader is on the way");
    let reader = stream.attach(None, None).unwrap();
    assert!(!stream.may_go_whole());
    stream.detach(reader, &limits());
    assert_eq!((stream.may_go_whole(), stream.unread_answers()), (true, 1));
    let reader = stream.attach(None, None).unwrap();
    read(&mut stream, reader);
    stream.detach(reader, &limits());
    assert_eq!((stream.may_go_whole(), stream.unread_answers()), (true, 0));
}

#[test]
fn the_error_for_a_large_answer_can_be_reached_over_a_gap() {
    let mut stream = post_stream();
    for text in ["a", "b"] {
        push(&mut stream, text.as_bytes());
    }
    let reader = stream.attach(None, None).unwrap();
    push_answer(&mut stream, &[b'y'; 5000]);
    read(&mut stream, reader);
    stream.detach(reader, &limits());
    let reader = stream.attach(Some(1), None).expect("an error stands for the answer");
    assert!(read(&mut stream, reader).contains("the connection broke"));
    // Once that has gone, too, nothing does.
    for _ in 0..4 {
        push(&mut stream, b"x");
    }
    stream.detach(reader, &limits());
    assert!(stream.attach(Some(1), None).is_none());
}

#[test]
fn the_answer_after_a_burst_and_a_break_can_be_reached_and_the_gap_is_counted() {
    let mut stream = post_stream();
    for text in ["a", "b", "c", "d", "e"] {
        push(&mut stream, text.as_bytes());
    }
    let reader = stream.attach(None, None).unwrap();
    push_answer(&mut stream, b"answer");
    stream.detach(reader, &limits());
    let reader = stream.attach(Some(1), None).expect("the answer is held");
    assert_eq!((stream.take_missed(), stream.take_missed()), (2, 0));
    let seen = read(&mut stream, reader);
    assert!(seen.contains("data: d\n") && seen.contains("data: answer\n") && !seen.contains("data: c\n"));
    // Not where an answer is among what is gone, as in a batch.
    for text in ["f", "g", "h"] {
        push(&mut stream, text.as_bytes());
    }
    stream.detach(reader, &limits());
    assert!(stream.attach(Some(1), None).is_none());
    assert!(stream.attach(Some(6), None).is_some(), "who has it already");
}
