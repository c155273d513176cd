//! One question to an engine in plain HTTP over its socket, for what bollard does not ask (which version to speak,
//! Podman's own interface) or does not read: states of containers that only Podman has.
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::{io, path::Path, time::Duration};
use tokio::net::UnixStream;

/// How long an engine may take to answer a question about itself.
const DEADLINE: Duration = Duration::from_secs(4);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Asks for a document.
///
/// # Errors
/// The kinds are those of the socket: `NotFound`, `PermissionDenied`, `ConnectionRefused`; `TimedOut` for one that is
/// silent, `InvalidData` for one that answers what no engine would.
pub(crate) async fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> io::Result<T> {
    let silent = || io::Error::new(io::ErrorKind::TimedOut, "it does not answer");
    let asked = tokio::time::timeout(DEADLINE, ask(socket, path)).await;
    let (status, answer) = asked.map_err(|_| silent())??;
    if !status.is_success() {
        let message = format!("it answers {path} with status {status}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    serde_json::from_slice(&answer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Asks, without a deadline.
pub(crate) async fn ask(socket: &Path, path: &str) -> io::Result<(StatusCode, Bytes)> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::get(path).header(HOST, "localhost").body(Empty::<Bytes>::new());
    let request = request.map_err(io::Error::other)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok((status, body.map_err(io::Error::other)?.to_bytes()))
    };
    // The connection lives as long as the question.
    tokio::pin!(answer, connection);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(broken(error)),
        },
    }
}

fn broken(error: hyper::Error) -> io::Error {
    if error.is_parse() {
        return io::Error::new(io::ErrorKind::InvalidData, error);
    }
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
