//! The process of one step of a case. Only such processes load the plugin; [`crate::conformance::run`] starts them.
use crate::conformance::subject::Library;
use serde::{Deserialize, Serialize};
use std::{io, path::PathBuf};
use wharf_records::StateDir;
use wharf_sdk::conformance::{self, Outcome, Setting};
use wharf_supervisor::Config;

/// The first argument that makes this binary run a step of a case.
pub const CASE_ARGUMENT: &str = "__conformance-case";

/// The task of such a process, which it reads from stdin.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) config: Config,
    pub(super) library: PathBuf,
    pub(super) runtime: String,
    pub(super) work: Work,
    /// The file for the outcome; stdout is not used, since the plugin may write there.
    pub(super) outcome: PathBuf,
}

/// The work to do.
#[derive(Serialize, Deserialize)]
pub(super) enum Work {
    /// A step of a case.
    Step { case: String, step: usize, setting: Box<Setting> },
    /// Remove all resources of these hosts.
    Sweep { hosts: Vec<String> },
}

/// Does the work that stdin describes; returns the exit code.
pub fn run_case() -> u8 {
    match try_run() {
        Ok(()) => 0,
        Err(error) => {
            use io::Write;
            let _ = writeln!(io::stderr(), "the case cannot be run: {error}");
            1
        }
    }
}

fn try_run() -> io::Result<()> {
    let order: Order = serde_json::from_reader(io::stdin())?;
    make_private(&StateDir::new(&order.config.state_dir).logs())?;
    let options = order.config.connect_options();
    let library = Library { path: order.library, runtime: order.runtime, options };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(work(&library, order.work));
    std::fs::File::create(&order.outcome).and_then(|file| Ok(serde_json::to_writer(file, &outcome)?))?;
    runtime.shutdown_background();
    Ok(())
}

async fn work(library: &Library, work: Work) -> Outcome {
    match work {
        Work::Sweep { hosts } => {
            conformance::sweep(library, &hosts).await;
            Outcome::default()
        }
        Work::Step { case, step, setting } => match conformance::case(&case) {
            Some(case) => conformance::run(case, step, library, *setting).await,
            None => Outcome { breach: Some(format!("there is no case '{case}'")), ..Outcome::default() },
        },
    }
}

pub(super) fn make_private(dir: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}
