//! The listener's own bounds, and its end.
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http::access::Access;
use crate::http::serve::{Listener, serve};
use crate::protocol::options::Limits;

struct Served {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
    release: std::sync::Arc<Notify>,
    entered: std::sync::Arc<Notify>,
}

async fn served(limits: Limits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (release, entered) = (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
    let (slow, seen) = (release.clone(), entered.clone());
    let waits = move || async move {
        seen.notify_one();
        slow.notified().await;
        "done"
    };
    let seen = entered.clone();
    let reads = move |body: axum::body::Body| async move {
        seen.notify_one();
        axum::body::to_bytes(body, 1000).await.map(|_| "read").unwrap_or("broken")
    };
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/slow", get(waits))
        .route("/body", axum::routing::post(reads));
    let stop = CancellationToken::new();
    let token = stop.clone();
    let task = tokio::spawn(async move {
        serve(Listener::Port(listener), router, &limits, &Access::default(), token).await
    });
    Served { address, stop, task, release, entered }
}

async fn ask(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    let mut byte = [0; 1];
    while !String::from_utf8_lossy(&all).ends_with(end) {
        assert_eq!(
            stream.read(&mut byte).await.unwrap(),
            1,
            "closed after {:?}",
            String::from_utf8_lossy(&all)
        );
        all.extend(byte);
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn a_head_that_does_not_come_or_is_too_large_ends_the_connection() {
    let limits = Limits { header_read: Duration::from_millis(50), header_bytes: 1000, ..Limits::default() };
    let served = served(limits).await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: loc").await.unwrap();
    let mut rest = Vec::new();
    // Either way of closing will do.
    let _ = slow.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
    let mut large = TcpStream::connect(served.address).await.unwrap();
    large
        .write_all(format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(2000)).as_bytes())
        .await
        .unwrap();
    assert!(read_until(&mut large, "\r\n\r\n").await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_rest_longer_than_a_head_may_take_but_not_for_ever() {
    let limits = Limits::default();
    let (head, rest) = (limits.header_read, limits.connection_rest);
    let served = served(limits).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    ask(&mut stream, "/").await;
    read_until(&mut stream, "hello").await;
    tokio::time::sleep(head * 2).await;
    ask(&mut stream, "/").await;
    read_until(&mut stream, "hello").await;
    let began = tokio::time::Instant::now();
    let mut end = Vec::new();
    let _ = stream.read_to_end(&mut end).await;
    assert!(end.is_empty() && began.elapsed() >= rest);
    // A long answer is no rest.
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    ask(&mut stream, "/slow").await;
    served.entered.notified().await;
    tokio::time::sleep(rest * 2).await;
    served.release.notify_one();
    read_until(&mut stream, "done").await;
}

#[tokio::test]
async fn the_connection_that_has_rested_longest_makes_room() {
    let served = served(Limits { connections: 3, ..Limits::default() }).await;
    let mut open = Vec::new();
    for path in ["/slow", "/", "/"] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        ask(&mut stream, path).await;
        if path == "/" {
            read_until(&mut stream, "hello").await;
        } else {
            served.entered.notified().await;
        }
        open.push(stream);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut fourth = TcpStream::connect(served.address).await.unwrap();
    ask(&mut fourth, "/").await;
    read_until(&mut fourth, "hello").await;
    let mut end = Vec::new();
    open[1].read_to_end(&mut end).await.unwrap();
    assert!(end.is_empty(), "it has rested longest");
    ask(&mut open[2], "/").await;
    read_until(&mut open[2], "hello").await;
    served.release.notify_one();
    read_until(&mut open[0], "done").await;
}

#[tokio::test]
async fn bodies_that_do_not_end_make_room_for_connections() {
    let served = served(Limits { connections: 2, ..Limits::default() }).await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    ask(&mut slow, "/slow").await;
    served.entered.notified().await;
    let mut partial = TcpStream::connect(served.address).await.unwrap();
    partial
        .write_all(b"POST /body HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n123456789")
        .await
        .unwrap();
    served.entered.notified().await;
    let mut third = TcpStream::connect(served.address).await.unwrap();
    ask(&mut third, "/").await;
    read_until(&mut third, "hello").await;
    let mut end = Vec::new();
    let _ = partial.read_to_end(&mut end).await;
    assert!(end.is_empty(), "its request is not complete");
    served.release.notify_one();
    read_until(&mut slow, "done").await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_while_all_are_being_served() {
    let served = served(Limits { connections: 1, ..Limits::default() }).await;
    let mut busy = TcpStream::connect(served.address).await.unwrap();
    ask(&mut busy, "/slow").await;
    served.entered.notified().await;
    let mut second = TcpStream::connect(served.address).await.unwrap();
    ask(&mut second, "/").await;
    served.release.notify_one();
    read_until(&mut busy, "done").await;
    read_until(&mut second, "hello").await;
}

#[tokio::test]
async fn a_shutdown_waits_for_requests_that_are_being_answered() {
    let served = served(Limits::default()).await;
    let mut busy = TcpStream::connect(served.address).await.unwrap();
    ask(&mut busy, "/slow").await;
    served.entered.notified().await;
    served.stop.cancel();
    while TcpStream::connect(served.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    served.release.notify_one();
    assert!(read_until(&mut busy, "done").await.starts_with("HTTP/1.1 200"));
    served.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_outlasts_the_shutdown_is_cut_off() {
    let served = served(Limits { drain: Duration::from_millis(20), ..Limits::default() }).await;
    let mut stuck = TcpStream::connect(served.address).await.unwrap();
    ask(&mut stuck, "/slow").await;
    served.entered.notified().await;
    served.stop.cancel();
    served.task.await.unwrap().unwrap();
    let mut rest = Vec::new();
    let _ = stuck.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}
