//! Reports the progress of a start to the client that waits for it.
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

/// At most this many of the runtime's events wait; more are dropped.
const QUEUED_EVENTS: usize = 64;
/// After this long without an event, the client is told which log to look at.
const QUIET_BEFORE_HINT: Duration = Duration::from_secs(5);
/// How long a command may take to read the last line.
const OUTCOME_SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Receives the progress of a start.
pub(crate) trait Reporter: Send {
    /// The present step, and the part that is done where it is known.
    fn progress(&mut self, message: &str, amount: Option<(u64, u64)>);
    /// Something that its user should know.
    fn warn(&mut self, message: &str);
    /// The workload is ready on this port.
    fn ready(&mut self, port: u16);
}

/// The command at the other end of a socket. If it reads slowly, or is stopped, it misses progress; if it has gone, nothing
/// is sent, and the workload goes on.
pub(crate) struct Lines {
    socket: UnixStream,
    /// The rest of a line that the socket did not take at once.
    unsent: Vec<u8>,
    /// The command stays, and the socket is left open: the supervisor notices the command's end by it.
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

    /// Sends the outcome of the start as the last line. It must arrive: without it, the command would think that the
    /// supervisor died.
    pub(crate) fn end(&mut self, line: &StartEvent) {
        self.add(line);
        let waits = self.socket.set_nonblocking(false);
        let sent = waits.and_then(|()| self.socket.set_write_timeout(Some(OUTCOME_SEND_TIMEOUT)));
        if let Err(error) = sent.and_then(|()| self.socket.write_all(&self.unsent)) {
            tracing::debug!(%error, "nobody heard how the start ended");
        }
        if self.stays {
            // The socket that is read shares this flag, since it is a duplicate of the same one.
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

    fn warn(&mut self, message: &str) {
        self.add(&StartEvent::Warning { message: message.to_owned() });
        self.send();
    }

    fn ready(&mut self, port: u16) {
        self.end(&StartEvent::Ready { port });
    }
}

/// A listener for the runtime's events, and the channel that they arrive on. If the supervisor is slow, some are dropped.
pub(crate) fn heard() -> (EventListener, mpsc::Receiver<Heard>) {
    let (sender, events) = mpsc::channel(QUEUED_EVENTS);
    let listener = move |event| {
        let _ = sender.try_send(event);
    };
    (Arc::new(listener), events)
}

/// Passes the runtime's events during a start on to the client that waits.
pub(crate) struct Told {
    events: mpsc::Receiver<Heard>,
    name: WorkloadName,
    uid: Uid,
    /// The step that the runtime has told of last.
    last: Option<String>,
    /// Resolves after a long time without an event. None once that was reported.
    quiet: Option<Pin<Box<Sleep>>>,
}

impl Told {
    pub(crate) fn new(events: mpsc::Receiver<Heard>, task: &SupervisorRequest) -> Self {
        let (name, uid) = (task.name.clone(), task.uid.clone());
        Self { events, name, uid, last: None, quiet: Some(Box::pin(sleep(QUIET_BEFORE_HINT))) }
    }

    /// Passes events on, and reports once that the runtime has been silent for long; never ends. May be dropped and called
    /// again.
    pub(crate) async fn pass_on(&mut self, reporter: &mut dyn Reporter) {
        loop {
            let quiet = self.quiet.is_some();
            tokio::select! {
                Some(event) = self.events.recv() => {
                    if event.uid == self.uid.as_str() {
                        if let Some(quiet) = &mut self.quiet {
                            quiet.as_mut().reset(Instant::now() + QUIET_BEFORE_HINT);
                        }
                        match event.is_warning {
                            true => reporter.warn(&event.message),
                            false => {
                                reporter.progress(&event.message, event.progress);
                                self.last = Some(event.message);
                            }
                        }
                    }
                }
                () = silence(&mut self.quiet), if quiet => {
                    self.quiet = None;
                    reporter.progress(&self.silent(), None);
                }
                else => return std::future::pending().await,
            }
        }
    }

    /// Where to look while nothing is told. After a step of the runtime, nobody knows whether any of the workload's code runs yet:
    /// where an image or a node is waited for, there is no log.
    fn silent(&self) -> String {
        let name = &self.name;
        match &self.last {
            None => format!("still starting '{name}'; its log tells what it has written so far"),
            Some(step) => {
                format!("still starting '{name}'; the last step: {step}; what it writes is in its log")
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
    use super::{Heard, Lines, Reporter, Told, heard};
    use crate::client::protocol::StartEvent;
    use std::{io::Read, os::unix::net::UnixStream, thread, time::Duration};
    use wharf_model::{Uid, WorkloadName};

    /// What was told of a start.
    #[derive(Default)]
    struct Notes(Vec<String>);

    impl Reporter for Notes {
        fn progress(&mut self, message: &str, _: Option<(u64, u64)>) {
            self.0.push(message.to_owned());
        }

        fn warn(&mut self, message: &str) {
            self.0.push(message.to_owned());
        }

        fn ready(&mut self, _: u16) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_after_a_step_is_told_with_the_step_since_there_may_be_no_log() {
        let (name, uid) = (WorkloadName::new("time").unwrap(), Uid::random().unwrap());
        for step in [None, Some("the pod is being scheduled")] {
            let (listener, events) = heard();
            let quiet = Some(Box::pin(tokio::time::sleep(super::QUIET_BEFORE_HINT)));
            let mut told = Told { events, name: name.clone(), uid: uid.clone(), last: None, quiet };
            if let Some(step) = step {
                let (uid, message) = (uid.to_string(), step.to_owned());
                listener(Heard { uid, message, progress: None, is_warning: false });
            }
            let mut notes = Notes::default();
            let passing = told.pass_on(&mut notes);
            assert!(tokio::time::timeout(Duration::from_secs(60), passing).await.is_err());
            let last = notes.0.last().unwrap();
            match step {
                Some(step) => {
                    assert!(last.contains(step) && last.ends_with("what it writes is in its log"), "{last}");
                }
                None => assert!(last.ends_with("its log tells what it has written so far"), "{last}"),
            }
        }
    }

    /// The command reads nothing, like one that its user has stopped.
    #[test]
    fn a_listener_that_does_not_read_misses_progress_and_gets_the_outcome() {
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
