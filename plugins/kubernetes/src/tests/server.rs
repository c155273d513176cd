//! An API server over plain HTTP whose answers a test determines.
use crate::{
    cluster::Cluster,
    connection::Connection,
    endpoint::{Access, Endpoint},
    proxy::Proxies,
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Makes the whole answer from the number of a request and its first line. An empty one is none: the client waits.
type Answers = dyn Fn(usize, &str) -> String + Send + Sync;

/// The heads of the requests, or their bodies.
type Heard = Arc<Mutex<Vec<String>>>;

/// The server, and a connection to it.
pub(super) struct Server {
    pub(super) cluster: Cluster,
    pub(super) connection: Connection,
    heads: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<String>>>,
    kubeconfig: tempfile::NamedTempFile,
}

impl Server {
    /// Starts a server with these answers.
    pub(super) async fn start(answers: impl Fn(usize, &str) -> String + Send + Sync + 'static) -> Self {
        let (heads, bodies) = (Arc::default(), Arc::default());
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        serve_at(kubeconfig.path(), answers, [Arc::clone(&heads), Arc::clone(&bodies)]).await;
        let files = vec![kubeconfig.path().to_owned()];
        let access = Access::Kubeconfig { files, context: "x".to_owned() };
        let endpoint = Endpoint { access, namespace: "n".to_owned() };
        let connection = Connection::to(endpoint, Proxies::default());
        Self { cluster: connection.cluster().await.unwrap(), connection, heads, bodies, kubeconfig }
    }

    /// Writes the kubeconfig anew: it names a server with these answers from now on.
    pub(super) async fn replace(&self, answers: impl Fn(usize, &str) -> String + Send + Sync + 'static) {
        let heard = [Arc::clone(&self.heads), Arc::clone(&self.bodies)];
        serve_at(self.kubeconfig.path(), answers, heard).await;
    }

    /// The first lines of all requests until now.
    pub(super) fn requests(&self) -> Vec<String> {
        self.heads().iter().filter_map(|head| head.lines().next().map(str::to_owned)).collect()
    }

    /// All requests until now, without their bodies.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The bodies of all requests until now.
    pub(super) fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts a server, and writes a kubeconfig that names it.
async fn serve_at(
    kubeconfig: &Path,
    answers: impl Fn(usize, &str) -> String + Send + Sync + 'static,
    heard: [Heard; 2],
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers: Arc<Answers> = Arc::new(answers);
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.expect("a connection");
            tokio::spawn(serve(client, heard.clone(), Arc::clone(&answers)));
        }
    });
    let mut file = File::create(kubeconfig).unwrap();
    write!(
        file,
        "{{\"clusters\": [{{\"name\": \"c\", \"cluster\": {{\"server\": \"http://{address}\"}}}}],
          \"contexts\": [{{\"name\": \"x\", \"context\": {{\"cluster\": \"c\", \"user\": \"u\"}}}}],
          \"users\": [{{\"name\": \"u\", \"user\": {{}}}}]}}"
    )
    .unwrap();
}

/// An answer with a JSON body.
pub(super) fn answer(status: &str, more: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n{body}"
    )
}

/// An answer with an object.
pub(super) fn ok(body: &Value) -> String {
    answer("200 OK", "", &body.to_string())
}

/// An answer that there is no StatefulSet of this name.
pub(super) fn missing(name: &str) -> String {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
        "message": format!("statefulsets.apps \"{name}\" not found"), "code": 404, "metadata": {},
        "details": { "name": name } });
    answer("404 Not Found", "", &status.to_string())
}

/// An answer that this user may not do it.
pub(super) fn refusal(message: &str) -> String {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden",
        "message": message, "code": 403, "metadata": {} });
    answer("403 Forbidden", "", &status.to_string())
}

/// A page of a listing, and what asks for the next one.
pub(super) fn list(kind: &str, items: &[Value], next: &str) -> String {
    ok(&json!({ "kind": kind, "apiVersion": "v1", "items": items,
        "metadata": { "resourceVersion": "5", "continue": next } }))
}

/// A watch that sends a bookmark, and then that its position is forgotten.
pub(super) fn forgotten() -> String {
    let bookmark = json!({ "type": "BOOKMARK", "object": { "kind": "Pod", "apiVersion": "v1",
        "metadata": { "resourceVersion": "7" } } });
    let gone = json!({ "type": "ERROR", "object": { "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "reason": "Expired", "message": "too old resource version", "code": 410, "metadata": {} } });
    answer("200 OK", "", &format!("{bookmark}\n{gone}\n"))
}

async fn serve(mut client: TcpStream, [heads, bodies]: [Heard; 2], answers: Arc<Answers>) {
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
    let body = String::from_utf8_lossy(&body).into_owned();
    bodies.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    let number = {
        let mut heads = heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.push(head);
        heads.len() - 1
    };
    let answer = answers(number, &line);
    if answer.is_empty() {
        std::future::pending::<()>().await;
    }
    let _ = client.write_all(answer.as_bytes()).await;
}
