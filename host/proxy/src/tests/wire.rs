//! HTTP as clients of every kind write it, byte by byte.
use axum::http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::protocol::options::Limits;
use crate::tests::rig::{Rig, initialize, limited};

/// The status of the answer to a request of these head lines, with the body of an `initialize`.
async fn status(rig: &Rig, version: &str, lines: &[&str]) -> String {
    let mut raw = TcpStream::connect(rig.address).await.unwrap();
    let body = initialize("2025-06-18", json!({})).to_string();
    let has = |name: &str| lines.iter().any(|line| line.starts_with(name));
    let mut head = format!("POST /mcp {version}\r\naccept: */*\r\n");
    if !has("content-type:") {
        head += "content-type: application/json\r\n";
    }
    for line in lines {
        head += &format!("{line}\r\n");
    }
    let framed = if has("transfer-encoding:") {
        format!("\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    } else {
        format!("content-length: {}\r\n\r\n{body}", body.len())
    };
    raw.write_all((head + &framed).as_bytes()).await.unwrap();
    let mut status = [0; 12];
    raw.read_exact(&mut status).await.unwrap();
    String::from_utf8_lossy(&status[9..]).into_owned()
}

#[tokio::test]
async fn heads_are_taken_as_they_are_meant_or_refused_with_the_status_for_it() {
    let (rig, _script) = Rig::start().await;
    let host = "host: localhost";
    let cases: [(&[&str], &str); 13] = [
        (&[host], "200"),
        (&[], "400"),
        (&[host, host], "400"),
        (&[host, "host: evil.example"], "400"),
        (&["host: evil.example"], "403"),
        (&[host, "transfer-encoding: chunked"], "200"),
        (&[host, "transfer-encoding: gzip, chunked"], "501"),
        (&[host, "transfer-encoding: gzip", "transfer-encoding: chunked"], "501"),
        (&[host, "content-encoding: gzip"], "415"),
        (&[host, "content-encoding: identity"], "200"),
        (&[host, "content-type: application/json; charset=utf-8"], "200"),
        (&[host, "content-type: application/json; charset=utf-16"], "415"),
        (&[host, "content-type: application/json; charset=\"ISO-8859-1\""], "415"),
    ];
    for (lines, expected) in cases {
        assert_eq!(status(&rig, "HTTP/1.1", lines).await, expected, "{lines:?}");
    }
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let (rig, _script) = Rig::with(limited(Limits { body_bytes: 64 << 20, ..Limits::default() })).await;
    const LENGTH: usize = 32 * 1024 * 1024;
    for (line, expected) in [
        ("host: localhost", "413"),
        ("host: evil.example", "403"),
        ("host: localhost\r\ncontent-encoding: gzip", "415"),
    ] {
        let mut raw = TcpStream::connect(rig.address).await.unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\n{line}\r\ncontent-type: application/json\r\naccept: */*\r\n\
             content-length: {LENGTH}\r\n\r\n"
        );
        raw.write_all(head.as_bytes()).await.unwrap();
        // Far more than the buffers hold: it ends only if it is read.
        for _ in 0..LENGTH / 65536 {
            raw.write_all(&[b'x'; 65536]).await.expect("what is sent is taken");
        }
        let mut answer = String::new();
        raw.read_to_string(&mut answer).await.expect("the answer can be read");
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_goes_on_after_a_refusal_whose_body_was_read() {
    let (rig, _script) = Rig::start().await;
    let reply = rig.post_raw("", "{}").await;
    assert_eq!((reply.status, reply.header("connection")), (StatusCode::BAD_REQUEST, None));
}
