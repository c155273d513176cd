//! The connection on which an engine said last who it is.
//!
//! To say that takes an engine its time: Podman asks the machine's package manager first, for a tenth of a second or two.
//! Whoever answers on a connection answers everything on it, so what is asked next on the same one is the word of an engine
//! that is known. The connection is given up soon: an endpoint may come to lead elsewhere, to an engine that a connection
//! that was there before does not see.
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

/// How long what was said holds for what is asked on the same connection.
const LASTS: Duration = Duration::from_secs(10);

/// A connection, and who answers on it.
pub(crate) struct Introduced {
    pub(crate) session: Session,
    pub(crate) identity: Identity,
    since: Instant,
    socket: SocketFile,
}

/// Which file a socket is: device and inode.
type SocketFile = (u64, u64);

/// A connection to somebody who has not said who it is.
pub(crate) struct Unknown {
    pub(crate) session: Session,
    /// The Podman that listens, if it is one and listens itself.
    pub(crate) podman: Option<ProcessIdentity>,
    socket: SocketFile,
}

impl Unknown {
    /// Connects to whoever serves a socket.
    pub(crate) async fn at(socket: &Path) -> io::Result<Self> {
        // Looked at before: where the file is exchanged meanwhile, the connection is not used twice.
        let file = socket_file(socket)?;
        let connection = UnixStream::connect(socket).await?;
        let podman = remembered::listening(&connection);
        Ok(Self { session: Session::on(connection).await?, podman, socket: file })
    }

    /// Once it has said so.
    pub(crate) fn is(self, identity: Identity) -> Introduced {
        Introduced { session: self.session, identity, since: Instant::now(), socket: self.socket }
    }
}

impl Introduced {
    /// True as long as what was said holds, and a new connection would come to the same listener.
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
    /// The turn of one who asks. Several that ask at once have one introduction, and not one each.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn { kept: self.0.lock().await, all: self }
    }
}

impl std::fmt::Debug for Introductions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Introductions").finish_non_exhaustive()
    }
}

/// Whose turn it is to ask. What was taken and is not kept is closed: half an answer may be under way on it.
pub(crate) struct Turn<'a> {
    kept: MutexGuard<'a, Option<Introduced>>,
    all: &'a Introductions,
}

impl Turn<'_> {
    /// The last introduction, if it still holds.
    pub(crate) fn take(&mut self, socket: &Path) -> Option<Introduced> {
        self.kept.take().filter(|introduced| introduced.holds(socket))
    }

    /// For whoever asks next.
    pub(crate) fn keep(mut self, introduced: Introduced) {
        let since = introduced.since;
        *self.kept = Some(introduced);
        let all = Arc::downgrade(&self.all.0);
        // Whoever needs it no more does not hold a connection to the engine for it.
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

    /// An engine that is no real one, of this name. Counts how often it is asked who it is.
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
    async fn r04_who_has_said_who_it_is_need_not_say_it_again_and_another_one_behind_the_socket_must() {
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
        // It goes on, and so does its connection; whoever comes now comes to the other one.
        std::fs::rename(&socket, folder.path().join("moved.sock")).unwrap();
        let second = engine(&socket, "second", &asked);
        assert_eq!(client.list_with_instance(&ours, None).await.unwrap().0, "second /data");
        assert_eq!(client.instance().await.unwrap(), "second /data");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
    }
}
