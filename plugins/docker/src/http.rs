//! Requests to an engine in plain HTTP over its socket. bollard cannot make them: it does not ask which version to speak,
//! does not know Podman's own interface, does not accept states that only Podman has, and opens a connection for each
//! request.
use crate::{
    error::is_of_proxy,
    signs_of_life::{at_once, while_alive},
};
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
use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::{net::UnixStream, task::JoinHandle};

/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// One connection, on which requests are made one after the other. So one engine answers all of them; another connection to
/// the same socket might reach another engine.
pub(crate) struct Session {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
    /// Where the engine is asked for signs of life.
    socket: PathBuf,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// The kinds are those of the socket: `NotFound`, `PermissionDenied`, `ConnectionRefused`.
    pub(crate) async fn open(socket: &Path) -> io::Result<Self> {
        Self::on(UnixStream::connect(socket).await?, socket).await
    }

    /// On a connection to this socket that nothing was asked on.
    pub(crate) async fn on(stream: UnixStream, socket: &Path) -> io::Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        Ok(Self { sender, driver: tokio::spawn(connection), socket: socket.to_owned() })
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// As [`Session::ask`]; `InvalidData` if the answer has an unexpected form.
    pub(crate) async fn get<T: DeserializeOwned>(&mut self, path: &str) -> io::Result<T> {
        let (status, answer) = self.ask(path).await?;
        if !status.is_success() {
            let message = format!("it answers {path} with status {status}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        serde_json::from_slice(&answer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The headers of the answer to a ping.
    ///
    /// # Errors
    /// `TimedOut` if the engine is silent, `InvalidData` if the answer has an unexpected form.
    pub(crate) async fn ping(&mut self) -> io::Result<HeaderMap> {
        let answer = at_once(self.send("/_ping")).await?;
        if !answer.status().is_success() {
            let message = format!("it answers /_ping with status {}", answer.status());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(answer.into_parts().0.headers)
    }

    /// Makes a request, and waits for its answer as long as the engine shows that it is alive.
    ///
    /// # Errors
    /// `TimedOut` if the engine is silent.
    pub(crate) async fn ask(&mut self, path: &str) -> io::Result<(StatusCode, Bytes)> {
        let socket = self.socket.clone();
        let answer = async {
            let response = self.send(path).await?;
            let status = response.status();
            Ok((status, read(response).await?))
        };
        while_alive(answer, || async { Self::open(&socket).await?.ping().await.map(drop) }).await
    }

    /// Posts a request. When this returns, the request has been handed to the connection; the future waits for the answer
    /// and drops it.
    ///
    /// # Errors
    /// From the future, too: the connection broke, or a proxy answered in the place of an engine that is gone.
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
            // An engine may send the headers of its answer long before the result; the body ends with the result.
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
