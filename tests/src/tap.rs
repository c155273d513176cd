//! A socket in front of another one, which counts the requests that pass, and can cut the clients off.
use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// A tap. It goes on as long as the test's process.
#[derive(Debug)]
pub struct Tap {
    folder: tempfile::TempDir,
    seen: Arc<Mutex<Vec<String>>>,
    /// All clients that are connected, or were.
    clients: Arc<Mutex<Vec<UnixStream>>>,
}

impl Tap {
    /// A tap in front of this socket.
    pub fn before(socket: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("tap.sock")).expect("a socket");
        let (seen, clients) = (Arc::default(), Arc::<Mutex<Vec<UnixStream>>>::default());
        let tap = Self { folder, seen: Arc::clone(&seen), clients: Arc::clone(&clients) };
        let socket = socket.to_owned();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                clients.lock().unwrap_or_else(PoisonError::into_inner).extend(client.try_clone());
                let (socket, seen) = (socket.clone(), Arc::clone(&seen));
                thread::spawn(move || pass(client, &socket, &seen));
            }
        });
        tap
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("tap.sock")
    }

    /// The requests since this was asked last: method and path.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Cuts off all clients, as if the engine were another process from here on, behind a listener that stays.
    pub fn cut(&self) {
        for client in self.clients.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut client: UnixStream, socket: &Path, seen: &Mutex<Vec<String>>) {
    let Ok(mut engine) = UnixStream::connect(socket) else {
        let _ = client.shutdown(Shutdown::Both);
        return;
    };
    let (Ok(mut back_from), Ok(mut back_to)) = (engine.try_clone(), client.try_clone()) else { return };
    let answers = thread::spawn(move || {
        let _ = std::io::copy(&mut back_from, &mut back_to);
        let _ = back_to.shutdown(Shutdown::Write);
    });
    let mut bytes = [0; 64 * 1024];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        // Each request begins a read: a client sends none before its last answer has come.
        let text = String::from_utf8_lossy(&bytes[..count]);
        if let Some(request) = text.lines().next().and_then(|line| line.strip_suffix(" HTTP/1.1")) {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.to_owned());
        }
        if engine.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = engine.shutdown(Shutdown::Write);
    let _ = answers.join();
    let _ = client.shutdown(Shutdown::Both);
}
