//! Questions to an engine in plain HTTP over its socket, for what bollard does not ask (which version to speak, Podman's
//! own interface), does not read (states of containers that only Podman has), or would ask on connections of its own.
use crate::error::is_of_proxy;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::HOST,
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::{io, path::Path, time::Duration};
use tokio::{net::UnixStream, task::JoinHandle};

/// How long an engine may take to answer a question about itself.
const DEADLINE: Duration = Duration::from_secs(9);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// One connection, on which questions are asked one after the other: who answers the first one answers them all, since
/// another engine behind the same socket would be reached by another connection.
pub(crate) struct Session {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// The kinds are those of the socket: `NotFound`, `PermissionDenied`, `ConnectionRefused`.
    pub(crate) async fn open(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        Ok(Self { sender, driver: tokio::spawn(connection) })
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// `TimedOut` for an engine that is silent, `InvalidData` for what no engine would answer.
    pub(crate) async fn get<T: DeserializeOwned>(&mut self, path: &str) -> io::Result<T> {
        let (status, answer) = in_time(self.ask(path)).await?;
        if !status.is_success() {
            let message = format!("it answers {path} with status {status}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        serde_json::from_slice(&answer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The headers of what an engine answers to the question whether it is there.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub(crate) async fn ping(&mut self) -> io::Result<HeaderMap> {
        let answer = in_time(self.send("/_ping")).await?;
        if !answer.status().is_success() {
            let message = format!("it answers /_ping with status {}", answer.status());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(answer.into_parts().0.headers)
    }

    /// Asks, without a deadline.
    pub(crate) async fn ask(&mut self, path: &str) -> io::Result<(StatusCode, Bytes)> {
        let response = self.send(path).await?;
        let status = response.status();
        Ok((status, read(response).await?))
    }

    /// Posts, and has queued that when this returns. What is answered, once it is, is dropped.
    ///
    /// # Errors
    /// Later, too, that the connection broke, or that a proxy answers in the place of who is gone.
    pub(crate) async fn post(
        mut self,
        path: &str,
    ) -> io::Result<impl Future<Output = io::Result<()>> + Send + use<>> {
        let answer = self.begin(Method::POST, path).await?;
        Ok(async move {
            let _session = self;
            let answer = answer.await?;
            if is_of_proxy(answer.status().as_u16()) {
                return Err(io::Error::new(io::ErrorKind::ConnectionReset, answer.status().to_string()));
            }
            // An engine may begin its answer long before it has one.
            read(answer).await.map(drop)
        })
    }

    async fn send(&mut self, path: &str) -> io::Result<Response<Incoming>> {
        self.begin(Method::GET, path).await?.await
    }

    async fn begin(
        &mut self,
        method: Method,
        path: &str,
    ) -> io::Result<impl Future<Output = io::Result<Response<Incoming>>> + Send + use<>> {
        let request = Request::builder().method(method).uri(path).header(HOST, "localhost");
        let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
        self.sender.ready().await.map_err(broken)?;
        let answer = self.sender.send_request(request);
        Ok(async move { answer.await.map_err(broken) })
    }
}

async fn read(answer: Response<Incoming>) -> io::Result<Bytes> {
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
    Ok(body.map_err(io::Error::other)?.to_bytes())
}

async fn in_time<T>(answer: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let silent = || io::Error::new(io::ErrorKind::TimedOut, "it does not answer");
    tokio::time::timeout(DEADLINE, answer).await.map_err(|_| silent())?
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn broken(error: hyper::Error) -> io::Error {
    if error.is_parse() {
        return io::Error::new(io::ErrorKind::InvalidData, error);
    }
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
