//! An API server over plain HTTP whose answers a test determines.
use crate::{
    cluster::Cluster,
    endpoint::{Access, Endpoint},
};
use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Makes the whole answer from the number of a request and its first line.
type Answers = dyn Fn(usize, &str) -> String + Send + Sync;

/// The server, and a connection to it.
pub(super) struct Server {
    pub(super) cluster: Cluster,
    heads: Arc<Mutex<Vec<String>>>,
    _kubeconfig: tempfile::NamedTempFile,
}

impl Server {
    /// Starts a server with these answers.
    pub(super) async fn start(answers: impl Fn(usize, &str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, answers): (Arc<Mutex<Vec<String>>>, Arc<Answers>) = (Arc::default(), Arc::new(answers));
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&seen), Arc::clone(&answers)));
            }
        });
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(
            file,
            "{{\"clusters\": [{{\"name\": \"c\", \"cluster\": {{\"server\": \"http://{address}\"}}}}],
              \"contexts\": [{{\"name\": \"x\", \"context\": {{\"cluster\": \"c\", \"user\": \"u\"}}}}],
              \"users\": [{{\"name\": \"u\", \"user\": {{}}}}]}}"
        )
        .unwrap();
        let access = Access::Kubeconfig { files: vec![file.path().to_owned()], context: "x".to_owned() };
        let endpoint = Endpoint { access, namespace: "n".to_owned() };
        Self { cluster: Cluster::of(endpoint).await.unwrap(), heads, _kubeconfig: file }
    }

    /// The first lines of all requests until now.
    pub(super) fn requests(&self) -> Vec<String> {
        self.heads().iter().filter_map(|head| head.lines().next().map(str::to_owned)).collect()
    }

    /// All requests until now, without their bodies.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An answer with a JSON body.
pub(super) fn answer(status: &str, more: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n{body}"
    )
}

async fn serve(mut client: TcpStream, heads: Arc<Mutex<Vec<String>>>, answers: Arc<Answers>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|part| part == b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    // A connection that is closed with unread bytes would take the answer along.
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if client.read_exact(&mut body).await.is_err() {
        return;
    }
    let line = head.lines().next().unwrap_or_default().to_owned();
    let number = {
        let mut heads = heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.push(head);
        heads.len() - 1
    };
    let _ = client.write_all(answers(number, &line).as_bytes()).await;
}
