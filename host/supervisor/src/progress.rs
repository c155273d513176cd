//! How a start goes, told to the client that waits for it.
use crate::client::protocol::{StartEvent, SupervisorRequest};
use std::{
    io::{self, Write},
    os::unix::net::UnixStream,
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep},
};
use wharf_model::{Uid, WorkloadName};
use wharf_runtimes::EventListener;
use wharf_sdk::document::Event as Heard;

/// How much of what a runtime tells may wait.
const QUEUED_EVENTS: usize = 64;
/// After so long without a word, the client that waits is told where to look.
const LONG: Duration = Duration::from_secs(5);
/// How long a command may take to hear the last word.
const OUTCOME_SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the supervisor says how its start goes.
pub(crate) trait Reporter: Send {
    /// Its present step, and how far it is where that is known.
    fn progress(&mut self, message: &str, amount: Option<(u64, u64)>);
    /// The workload is ready on this port.
    fn ready(&mut self, port: u16);
}

/// The command at the other end of a socket. One that is slow to listen, or was stopped, misses what happens meanwhile;
/// one that went away hears no more, and the workload goes on.
pub(crate) struct Lines {
    socket: UnixStream,
    /// The rest of a line that the socket did not take at once.
    unsent: Vec<u8>,
    /// The command stays: its end is heard on the socket, which is therefore left open.
    stays: bool,
}

impl Lines {
    pub(crate) fn new(socket: UnixStream, stays: bool) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, unsent: Vec::new(), stays })
    }

    fn add(&mut self, line: &StartEvent) {
        // A line holds text and numbers, which can always be written.
        if let Ok(text) = serde_json::to_vec(line) {
            self.unsent.extend(text);
            self.unsent.push(b'\n');
        }
    }

    fn send(&mut self) {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    }

    /// Says how the start ended, after which nothing is said. That must arrive: a command that heard no last word would
    /// think that the supervisor died.
    pub(crate) fn end(&mut self, line: &StartEvent) {
        self.add(line);
        let waits = self.socket.set_nonblocking(false);
        let sent = waits.and_then(|()| self.socket.set_write_timeout(Some(OUTCOME_SEND_TIMEOUT)));
        if let Err(error) = sent.and_then(|()| self.socket.write_all(&self.unsent)) {
            tracing::debug!(%error, "nobody heard how the start ended");
        }
        if self.stays {
            // It is one description with the one that is listened on.
            let _ = self.socket.set_nonblocking(true);
        } else {
            let _ = self.socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Reporter for Lines {
    fn progress(&mut self, message: &str, amount: Option<(u64, u64)>) {
        self.send();
        if self.unsent.is_empty() {
            self.add(&StartEvent::Progress { message: message.to_owned(), amount });
            self.send();
        }
    }

    fn ready(&mut self, port: u16) {
        self.end(&StartEvent::Ready { port });
    }
}

/// Where what the runtime tells of the workload arrives. A supervisor that is slow misses some of it.
pub(crate) fn heard() -> (EventListener, mpsc::Receiver<Heard>) {
    let (sender, events) = mpsc::channel(QUEUED_EVENTS);
    let listener = move |event| {
        let _ = sender.try_send(event);
    };
    (Arc::new(listener), events)
}

/// The runtime's word on the workload while it is started, on its way to the client that waits.
pub(crate) struct Told {
    events: mpsc::Receiver<Heard>,
    name: WorkloadName,
    uid: Uid,
    /// Resolves when there was no word for long; none once that was told.
    quiet: Option<Pin<Box<Sleep>>>,
}

impl Told {
    pub(crate) fn new(events: mpsc::Receiver<Heard>, task: &SupervisorRequest) -> Self {
        let (name, uid) = (task.name.clone(), task.uid.clone());
        Self { events, name, uid, quiet: Some(Box::pin(sleep(LONG))) }
    }

    /// Passes on what comes, and once that the runtime is long silent; never ends. May be dropped and called again.
    pub(crate) async fn pass_on(&mut self, reporter: &mut dyn Reporter) {
        loop {
            let quiet = self.quiet.is_some();
            tokio::select! {
                Some(event) = self.events.recv() => {
                    if event.uid == self.uid.as_str() {
                        if let Some(quiet) = &mut self.quiet {
                            quiet.as_mut().reset(Instant::now() + LONG);
                        }
                        reporter.progress(&event.message, event.progress);
                    }
                }
                () = silence(&mut self.quiet), if quiet => {
                    self.quiet = None;
                    let name = &self.name;
                    let text = format!("still starting '{name}'; its log tells what it has written so far");
                    reporter.progress(&text, None);
                }
                else => return std::future::pending().await,
            }
        }
    }
}

async fn silence(quiet: &mut Option<Pin<Box<Sleep>>>) {
    match quiet {
        Some(quiet) => quiet.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, Reporter};
    use crate::client::protocol::StartEvent;
    use std::{io::Read, os::unix::net::UnixStream, thread};

    /// As of a command that its user stopped for a while.
    #[test]
    fn who_does_not_listen_misses_progress_and_hears_the_last_word() {
        let (mut command, supervisor) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(supervisor, false).unwrap();
        for count in 0..100_000 {
            lines.progress("a layer of an image", Some((count, 100_000)));
        }
        let saying = thread::spawn(move || lines.ready(8080));
        let mut heard = String::new();
        command.read_to_string(&mut heard).unwrap();
        saying.join().unwrap();
        let heard: Vec<StartEvent> = heard.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(heard.len() < 100_000, "it heard everything");
        assert_eq!(heard.last(), Some(&StartEvent::Ready { port: 8080 }));
    }
}
