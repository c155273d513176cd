//! The connection on which an engine introduced itself last.
//!
//! Podman takes a tenth of a second or two to introduce itself, since it asks the machine's package manager first. One
//! process answers all requests on a connection, so every later answer on that connection comes from the engine that
//! introduced itself. The connection is dropped after a few seconds: the endpoint may come to lead to another engine, and a
//! connection that was open before does not show that.
use crate::{http::Session, identity::Identity, remembered};
use std::{
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::UnixStream,
    sync::{Mutex, MutexGuard},
};
use wharf_sdk::process_identity::ProcessIdentity;

/// How long an introduction counts for later requests on the same connection.
const LASTS: Duration = Duration::from_secs(10);

/// A connection, and the engine that answers on it.
pub(crate) struct Introduced {
    pub(crate) session: Session,
    pub(crate) identity: Identity,
    since: Instant,
    socket: SocketFile,
}

/// Which file a socket is: device and inode.
type SocketFile = (u64, u64);

/// A connection to an engine that has not introduced itself.
pub(crate) struct Unknown {
    pub(crate) session: Session,
    /// The Podman that listens, if it is one and listens itself.
    pub(crate) podman: Option<ProcessIdentity>,
    socket: SocketFile,
}

impl Unknown {
    /// Connects to the engine that serves a socket.
    pub(crate) async fn at(socket: &Path) -> io::Result<Self> {
        // The file is looked at before: if it is exchanged meanwhile, the connection is not used twice.
        let file = socket_file(socket)?;
        let connection = UnixStream::connect(socket).await?;
        let podman = remembered::listening(&connection);
        Ok(Self { session: Session::on(connection, socket).await?, podman, socket: file })
    }

    /// The same connection, after the introduction.
    pub(crate) fn is(self, identity: Identity) -> Introduced {
        Introduced { session: self.session, identity, since: Instant::now(), socket: self.socket }
    }
}

impl Introduced {
    /// True while the introduction counts and a new connection would reach the same listener.
    fn holds(&self, socket: &Path) -> bool {
        self.since.elapsed() < LASTS && socket_file(socket).is_ok_and(|file| file == self.socket)
    }
}

fn socket_file(socket: &Path) -> io::Result<SocketFile> {
    let found = std::fs::metadata(socket)?;
    Ok((found.dev(), found.ino()))
}

/// Keeps the last introduction of an engine.
#[derive(Clone, Default)]
pub(crate) struct Introductions(Arc<Mutex<Option<Introduced>>>);

impl Introductions {
    /// Waits for a turn to ask. Several callers at once need one introduction, and not one each.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn { kept: self.0.lock().await, all: self }
    }
}

impl std::fmt::Debug for Introductions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Introductions").finish_non_exhaustive()
    }
}

/// A caller's turn to ask. A connection that was taken and not kept is closed: half an answer may be under way on it.
pub(crate) struct Turn<'a> {
    kept: MutexGuard<'a, Option<Introduced>>,
    all: &'a Introductions,
}

impl Turn<'_> {
    /// The last introduction, if it still holds.
    pub(crate) fn take(&mut self, socket: &Path) -> Option<Introduced> {
        self.kept.take().filter(|introduced| introduced.holds(socket))
    }

    /// Keeps the connection for the next caller.
    pub(crate) fn keep(mut self, introduced: Introduced) {
        let since = introduced.since;
        *self.kept = Some(introduced);
        let all = Arc::downgrade(&self.all.0);
        // A supervisor at rest holds no connection to its engine for this.
        tokio::spawn(async move {
            tokio::time::sleep(LASTS.saturating_sub(since.elapsed())).await;
            let Some(all) = all.upgrade() else { return };
            let mut kept = all.lock().await;
            if kept.as_ref().is_some_and(|kept| kept.since == since) {
                *kept = None;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;
    use std::{
        path::Path,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
        task::JoinHandle,
    };

    /// A fake engine with this id. It counts how often it introduces itself.
    fn engine(socket: &Path, id: &'static str, asked: &Arc<AtomicUsize>) -> JoinHandle<()> {
        let (listener, asked) = (UnixListener::bind(socket).unwrap(), asked.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let asked = asked.clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while let Ok(count @ 1..) = client.read(&mut request).await {
                        let request = String::from_utf8_lossy(&request[..count]);
                        let body = if request.contains("/info") {
                            asked.fetch_add(1, Ordering::Relaxed);
                            format!(r#"{{"ID":"{id}","DockerRootDir":"/data"}}"#)
                        } else {
                            "[]".to_owned()
                        };
                        let head = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/28.0.0\r\n";
                        let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                        client.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        })
    }

    #[tokio::test]
    async fn r04_an_engine_process_is_asked_once_for_its_instance_and_another_one_behind_the_socket_again() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("engine.sock");
        let asked = Arc::default();
        let _first = engine(&socket, "first", &asked);
        let client = Engine::reach(&socket).await.unwrap();
        let ours = ["label".to_owned()];
        for _ in 0..3 {
            let (instance, both) =
                (client.instance(), async { client.list_with_instance(&ours, None).await.unwrap().0 });
            assert_eq!(
                tokio::join!(async { instance.await.unwrap() }, both),
                ("first /data".into(), "first /data".into())
            );
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // The first engine and its connection go on; a new connection reaches the second one.
        std::fs::rename(&socket, folder.path().join("moved.sock")).unwrap();
        let second = engine(&socket, "second", &asked);
        assert_eq!(client.list_with_instance(&ours, None).await.unwrap().0, "second /data");
        assert_eq!(client.instance().await.unwrap(), "second /data");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
    }
}
