//! `run --foreground`: this process is the supervisor, and its end the workload's.
use super::console::{Console, Format};
use super::failure::{DONE, Outcome};
use super::progress::Steps;
use super::run::say_ready;
use std::sync::Arc;
use wharf::error::{Error, ErrorKind};
use wharf::status::{Phase, RunConfig};
use wharf::supervise::{Attendance, Mode, Progress, Reporter, Task, supervise};
use wharf::workload::{Manager, RunRequest};

pub(super) async fn run(
    manager: &Manager,
    request: &RunRequest,
    console: &Arc<Console>,
    quiet: bool,
    format: Format,
) -> Outcome {
    let (run, operation) = manager.create(request).await?;
    let task = Task {
        config: manager.config().clone(),
        name: run.name.clone(),
        uid: run.uid.clone(),
        mode: Mode::Create,
        attended: true,
    };
    let steps = Some(Steps::new(console, quiet, ""));
    let mut told = Told { manager, run, console: console.clone(), quiet, format, steps };
    supervise(&task, operation, &mut told, Attendance::foreground()).await?;
    match manager.store().read_status(&task.name) {
        Ok(record) if record.uid == task.uid && record.phase == Phase::Error => {
            let message = format!("'{}' failed: {}", task.name, record.status_context);
            Err(Error::new(ErrorKind::Runtime, message).hint(format!("see: wharf logs {}", task.name)).into())
        }
        // Somebody removed it, or it ended as it should.
        _ => Ok(DONE),
    }
}

/// Tells the user what a detached supervisor tells the command that started it.
struct Told<'a> {
    manager: &'a Manager,
    run: RunConfig,
    console: Arc<Console>,
    quiet: bool,
    format: Format,
    steps: Option<Steps>,
}

impl Reporter for Told<'_> {
    fn progress(&mut self, message: &str, amount: Option<(u64, u64)>) {
        match (&mut self.steps, amount) {
            (Some(steps), None) => steps.step(message),
            (Some(steps), Some((done, total))) => steps.amount(message, done, total),
            (None, _) => {}
        }
    }

    fn ready(&mut self, port: u16) {
        self.steps = None;
        let started = self.manager.ready(&self.run, port);
        // That nobody reads it is no reason to end a workload that runs.
        let _ = match self.format {
            Format::Json => self.console.json(&started),
            Format::Text => self.console.line(&started.url),
        };
        let _ = self.console.flush();
        if !self.quiet {
            say_ready(&self.console, &started.name, &started.runtime_name);
            if self.console.stderr_is_terminal {
                self.console.note("stop it with Ctrl-C");
            }
        }
    }
}
