//! The supervisor: one detached process for each workload that runs; a child of the command where that stays.
//!
//! `spawn` is the side of the command that starts it, `detached` the process itself and `run` what it does, `control`
//! both ends of its socket. It deploys through the owner's plugin alone, serves the proxy, learns of the workload's end
//! from the runtime, and restarts it by policy. It must not know any particular runtime, nor how records are stored.
//!
//! Invariants:
//! - It holds the life lock as long as it lives; whether it lives is a question about that lock.
//! - While it starts a workload it holds the operation lock that it inherited and writes the transition; afterwards
//!   it writes spontaneous events alone, and re-reads `desired` under the record lock before every restart.
//! - A handle is recorded, durably, before the workload's code runs (R12).
pub mod control;

mod access;
mod deploy;
mod detached;
mod front;
mod happening;
mod log;
mod port;
mod ready;
mod reattach;
mod report;
mod run;
mod spawn;
mod watch;
mod wire;

pub(crate) use access::{change as change_access, check_exposure};
pub use detached::{SUPERVISOR_ARGUMENT, run};
pub(crate) use front::{reading, sides};
pub use log::log_path;
pub(crate) use log::{clear_logs, last_words};
pub(crate) use port::{check_port, free_port};
pub use spawn::{Supervisor, spawn};
pub use wire::{Ended, Mode, Progress, SupervisorReport, Task};
