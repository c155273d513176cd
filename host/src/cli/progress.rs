//! What a command does meanwhile, on stderr: at once on a terminal, elsewhere only when it takes a while.
use super::console::Console;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use wharf::supervise::Progress;

/// What takes longer than this is shown even where nobody may be looking.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shows the steps of one workload's start.
pub(super) struct Steps {
    console: Arc<Console>,
    prefix: String,
    state: Arc<Mutex<State>>,
    timer: Option<tokio::task::JoinHandle<()>>,
}

struct State {
    /// Steps are shown from now on.
    shown: bool,
    /// The step that is under way and has not been shown.
    held_back: Option<String>,
}

impl Steps {
    /// Steps of this workload, or none at all.
    pub(super) fn new(console: &Arc<Console>, quiet: bool, prefix: impl Into<String>) -> Self {
        let shown = console.stderr_is_terminal && !quiet;
        let state = Arc::new(Mutex::new(State { shown, held_back: None }));
        let timer = (!shown && !quiet).then(|| {
            let (state, console) = (state.clone(), console.clone());
            tokio::spawn(async move {
                tokio::time::sleep(PATIENCE).await;
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.shown = true;
                if let Some(text) = state.held_back.take() {
                    console.note(&text);
                }
            })
        });
        Self { console: console.clone(), prefix: prefix.into(), state, timer }
    }
}

impl Progress for Steps {
    fn step(&mut self, message: &str) {
        let text =
            if self.prefix.is_empty() { message.to_owned() } else { format!("{}: {message}", self.prefix) };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.shown {
            self.console.note(&text);
        } else {
            state.held_back = Some(text);
        }
    }
}

impl Drop for Steps {
    /// The result follows: a step that was held back is no news any more.
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            timer.abort();
        }
    }
}
