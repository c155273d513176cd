//! Shows the progress of a command on stderr: on a terminal at once, elsewhere only if it takes a while. An amount is shown
//! as a bar on a terminal, and as a line for each quarter elsewhere.
use super::argument_paths::option;
use super::console::Console;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use wharf_model::Error;
use wharf_supervisor::Progress;

/// A step that takes longer than this is shown even if stderr is no terminal.
const PROGRESS_DELAY: Duration = Duration::from_secs(1);

/// Shows the steps of one workload's start.
pub(super) struct Steps {
    console: Arc<Console>,
    prefix: String,
    state: Arc<Mutex<State>>,
    timer: Option<tokio::task::JoinHandle<()>>,
    quiet: bool,
    /// Whether its user was asked about the paths that are closed.
    was_asked: bool,
    /// The paths of arguments that are closed to the workload.
    closed: Vec<String>,
}

struct State {
    /// Whether steps are shown now.
    shown: bool,
    /// The present step, if it has not been shown.
    held_back: Option<String>,
    /// Whether a bar is on the terminal's last line.
    bar: bool,
    /// The last quarter that was shown, and its message.
    quarter: Option<(String, u64)>,
}

impl Steps {
    /// Progress of this workload; with `quiet`, nothing is shown.
    pub(super) fn new(console: &Arc<Console>, quiet: bool, prefix: impl Into<String>) -> Self {
        let shown = console.stderr_is_terminal && !quiet;
        let state = Arc::new(Mutex::new(State { shown, held_back: None, bar: false, quarter: None }));
        let timer = (!shown && !quiet).then(|| {
            let (state, console) = (state.clone(), console.clone());
            tokio::spawn(async move {
                tokio::time::sleep(PROGRESS_DELAY).await;
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.shown = true;
                if let Some(text) = state.held_back.take() {
                    console.note(&text);
                }
            })
        });
        Self {
            console: console.clone(),
            prefix: prefix.into(),
            state,
            timer,
            quiet,
            was_asked: false,
            closed: Vec::new(),
        }
    }

    /// Notes that its user was asked about the paths that are closed: they are not told once more.
    pub(super) fn was_asked(&mut self, was_asked: bool) {
        self.was_asked = was_asked;
    }

    /// A failure of the workload, with the paths that were closed to it: they may be the reason.
    pub(super) fn explained(&self, error: Error) -> Error {
        let hint = |path: &String| format!("'{path}' is closed to the server; to open it: {}", option(path));
        self.closed.iter().map(hint).fold(error, Error::hint)
    }

    fn text(&self, message: &str) -> String {
        if self.prefix.is_empty() { message.to_owned() } else { format!("{}: {message}", self.prefix) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An amount in words.
fn words(text: &str, done: u64, total: u64) -> String {
    const MEGABYTE: f64 = 1e6;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (done, total) = (done as f64 / MEGABYTE, total as f64 / MEGABYTE);
    format!("{text}: {done:.1} of {total:.1} MB")
}

/// An amount as a bar.
fn bar(text: &str, done: u64, total: u64) -> String {
    const WIDTH: u64 = 24;
    let full = (done.saturating_mul(WIDTH)).checked_div(total).unwrap_or(0).min(WIDTH);
    let full = usize::try_from(full).unwrap_or(0);
    let empty = usize::try_from(WIDTH).unwrap_or(0) - full;
    let (full, empty) = ("#".repeat(full), "-".repeat(empty));
    format!("[{full}{empty}] {}", words(text, done, total))
}

impl Progress for Steps {
    fn step(&mut self, message: &str) {
        let text = self.text(message);
        let mut state = self.state();
        if std::mem::take(&mut state.bar) {
            self.console.redraw("");
        }
        if state.shown {
            self.console.note(&text);
        } else {
            state.held_back = Some(text);
        }
    }

    fn warn(&mut self, message: &str) {
        if !self.quiet {
            let text = format!("warning: {}", self.text(message));
            if std::mem::take(&mut self.state().bar) {
                self.console.redraw("");
            }
            self.console.note(&text);
        }
    }

    fn closed(&mut self, path: &str) {
        if !self.was_asked {
            let option = option(path);
            self.warn(&format!(
                "'{path}', which an argument names, is closed to the server; to open it: {option}"
            ));
        }
        self.closed.push(path.to_owned());
    }

    fn amount(&mut self, message: &str, done: u64, total: u64) {
        if self.quiet {
            return;
        }
        let text = self.text(message);
        let mut state = self.state();
        if self.console.stderr_is_terminal {
            state.bar = true;
            self.console.redraw(&bar(&text, done, total));
            return;
        }
        let quarter = done.saturating_mul(4).checked_div(total).unwrap_or(0);
        let now = Some((message.to_owned(), quarter));
        if state.shown && state.quarter != now {
            state.quarter = now;
            self.console.note(&words(&text, done, total));
        }
    }
}

impl Drop for Steps {
    /// The result follows, so a step that was held back is not shown any more.
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            timer.abort();
        }
        if std::mem::take(&mut self.state().bar) {
            self.console.redraw("");
        }
    }
}

/// A note for a user at a terminal.
pub(super) fn say_ready(console: &Console, name: &str, runtime: &str) {
    if console.stderr_is_terminal {
        console.note(&format!("{name} is ready ({runtime})"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_bar_is_as_full_as_its_share() {
        let half = bar("pulling image 'x'", 1_000_000, 2_000_000);
        assert_eq!(half, "[############------------] pulling image 'x': 1.0 of 2.0 MB");
        assert!(bar("x", 5, 2).starts_with("[########################]"), "more than all is all");
        assert!(bar("x", 1, 0).starts_with("[------------------------]"));
    }
}
