//! A socket in front of another one, which counts the requests that pass, holds some back, and can cut the clients off.
use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

/// A tap. It goes on as long as the test's process.
#[derive(Debug)]
pub struct Tap {
    folder: tempfile::TempDir,
    seen: Arc<Mutex<Vec<String>>>,
    /// All clients that are connected, or were.
    clients: Arc<Mutex<Vec<UnixStream>>>,
    gate: Arc<Gate>,
}

/// Holds requests back. A request that was held reaches the engine even if its client is gone by then.
#[derive(Debug, Default)]
struct Gate {
    /// Requests with this part in their path are held back; empty: none.
    holds: Mutex<&'static str>,
    opened: Condvar,
}

impl Gate {
    /// Waits as long as this request is held back. True if it was.
    fn pass(&self, request: &str) -> bool {
        let holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        let is_held = |part: &&'static str| !part.is_empty() && request.contains(*part);
        if !is_held(&holds) {
            return false;
        }
        drop(self.opened.wait_while(holds, |part| is_held(&*part)));
        true
    }
}

impl Tap {
    /// A tap in front of this socket.
    pub fn before(socket: &Path) -> Self {
        Self::holding(socket, "")
    }

    /// The same, which holds back the requests with this part in their path until [`Tap::let_go`].
    pub fn holding(socket: &Path, part: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("tap.sock")).expect("a socket");
        let (seen, clients) = (Arc::default(), Arc::<Mutex<Vec<UnixStream>>>::default());
        let gate = Arc::new(Gate { holds: Mutex::new(part), opened: Condvar::new() });
        let tap =
            Self { folder, seen: Arc::clone(&seen), clients: Arc::clone(&clients), gate: Arc::clone(&gate) };
        let socket = socket.to_owned();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                clients.lock().unwrap_or_else(PoisonError::into_inner).extend(client.try_clone());
                let (socket, seen, gate) = (socket.clone(), Arc::clone(&seen), Arc::clone(&gate));
                thread::spawn(move || pass(client, &socket, &seen, &gate));
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

    /// True if a request with this part in its path has come. [`Tap::requests`] still reports it.
    pub fn was_asked(&self, part: &str) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().any(|request| request.contains(part))
    }

    /// Holds back the requests with this part in their path from now on, until [`Tap::let_go`].
    pub fn hold(&self, part: &'static str) {
        *self.gate.holds.lock().unwrap_or_else(PoisonError::into_inner) = part;
    }

    /// Lets all held requests pass, and holds none back from now on.
    pub fn let_go(&self) {
        *self.gate.holds.lock().unwrap_or_else(PoisonError::into_inner) = "";
        self.gate.opened.notify_all();
    }

    /// Cuts off all clients, as if the engine were another process from here on, behind a listener that stays.
    pub fn cut(&self) {
        for client in self.clients.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut client: UnixStream, socket: &Path, seen: &Mutex<Vec<String>>, gate: &Gate) {
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
    let mut was_held = false;
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        // Each request begins a read: a client sends none before its last answer has come.
        let text = String::from_utf8_lossy(&bytes[..count]);
        if let Some(request) = text.lines().next().and_then(|line| line.strip_suffix(" HTTP/1.1")) {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.to_owned());
            was_held |= gate.pass(request);
        }
        if engine.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // An engine that sees its client gone may give up what was held back for long.
    if !was_held {
        let _ = engine.shutdown(Shutdown::Write);
    }
    let _ = answers.join();
    let _ = client.shutdown(Shutdown::Both);
}
