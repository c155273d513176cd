//! `run --foreground`: this process stays until the workload's end.
use super::console::{Console, Format};
use super::failure::{DONE, Failure, Outcome};
use super::progress::{Steps, say_ready};
use std::sync::Arc;
use wharf::commands::{self, Attendant, Context, RunRequest, Started};
use wharf_supervisor::Progress;

pub(super) async fn run(
    context: &Context,
    request: &RunRequest,
    console: &Arc<Console>,
    is_asked: bool,
    quiet: bool,
    format: Format,
) -> Outcome {
    let mut steps = Steps::new(console, quiet, "");
    steps.was_asked(is_asked);
    let mut told = Told { console: console.clone(), quiet, format, steps: Some(steps) };
    match commands::run_in_foreground(context, request, &mut told).await {
        Ok(()) => Ok(DONE),
        // It had not become ready if its steps are still shown.
        Err(error) => Err(match &told.steps {
            Some(steps) => steps.explained(error),
            None => error,
        }
        .into()),
    }
}

/// Prints the progress of a foreground workload.
struct Told {
    console: Arc<Console>,
    quiet: bool,
    format: Format,
    steps: Option<Steps>,
}

impl Progress for Told {
    fn step(&mut self, message: &str) {
        if let Some(steps) = &mut self.steps {
            steps.step(message);
        }
    }

    fn closed(&mut self, path: &str) {
        if let Some(steps) = &mut self.steps {
            steps.closed(path);
        }
    }

    fn amount(&mut self, message: &str, done: u64, total: u64) {
        if let Some(steps) = &mut self.steps {
            steps.amount(message, done, total);
        }
    }
}

impl Attendant for Told {
    fn ready(&mut self, started: &Started) {
        self.steps = None;
        // If nobody reads the output, that is no reason to end a running workload.
        let printed = match self.format {
            Format::Json => self.console.json(started),
            Format::Text => self.console.line(&started.url),
        };
        if let Some(error) = printed
            .and_then(|()| self.console.flush())
            .map_err(Failure::from)
            .err()
            .and_then(Failure::reported)
        {
            self.console.error(&error, self.format);
        }
        if !self.quiet {
            say_ready(&self.console, &started.name, &started.runtime_name);
            if self.console.stderr_is_terminal {
                self.console.note("stop it with Ctrl-C");
            }
        }
    }
}
