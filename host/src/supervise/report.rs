//! How a start goes, told to whoever waits for it.
use super::wire::{Line, Task};
use crate::plugin::EventListener;
use std::{io::Write, os::unix::net::UnixStream, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use wharf_sdk::document::Event as Told;

/// How much of what a runtime tells may wait.
const QUEUED_EVENTS: usize = 64;
/// After so long without a word, who waits is told where to look.
const LONG: Duration = Duration::from_secs(5);

/// Where the supervisor says how its start goes.
pub trait Reporter: Send {
    /// What it does now, and how far it is where that is known.
    fn progress(&mut self, message: &str, amount: Option<(u64, u64)>);
    /// The workload is ready on this port.
    fn ready(&mut self, port: u16);
}

/// The command at the other end of a socket.
pub(super) struct Lines(pub(super) UnixStream);

impl Lines {
    /// A command that went away hears no more; the workload goes on.
    pub(super) fn say(&mut self, line: &Line) {
        if let Ok(mut text) = serde_json::to_vec(line) {
            text.push(b'\n');
            let _ = self.0.write_all(&text);
        }
    }
}

impl Reporter for Lines {
    fn progress(&mut self, message: &str, amount: Option<(u64, u64)>) {
        self.say(&Line::Progress { message: message.to_owned(), amount });
    }

    fn ready(&mut self, port: u16) {
        self.say(&Line::Ready { port });
        // The last word: who waits for the end of the lines sees it.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

/// Where what the runtime tells of the workload arrives. Whoever is slow misses some of it.
pub(super) fn heard() -> (EventListener, mpsc::Receiver<Told>) {
    let (sender, events) = mpsc::channel(QUEUED_EVENTS);
    let listener = move |event| {
        let _ = sender.try_send(event);
    };
    (Arc::new(listener), events)
}

/// Passes on what the runtime tells of the workload, and once that it is long silent; never ends.
pub(super) async fn pass_on(mut events: mpsc::Receiver<Told>, task: &Task, reporter: &mut dyn Reporter) {
    let mut quiet = pin!(sleep(LONG));
    let mut is_told = false;
    loop {
        tokio::select! {
            Some(event) = events.recv() => {
                quiet.as_mut().reset(Instant::now() + LONG);
                if event.uid == task.uid.as_str() {
                    reporter.progress(&event.message, event.progress);
                }
            }
            () = quiet.as_mut(), if !is_told => {
                is_told = true;
                let name = &task.name;
                let text = format!("still waiting for '{name}' to answer; what it writes: wharf logs {name}");
                reporter.progress(&text, None);
            }
            else => return std::future::pending().await,
        }
    }
}
