//! The supervisor: one detached process for each workload that runs. [`client`] is the commands' side: it starts a
//! supervisor and sends it requests.
//!
//! [`machine`] decides what it does; `run_loop` waits, `effects` performs, `outside` is where events come from; `process`
//! is the process around them; [`systemd_scope`] lets a logout leave it alone. It deploys through the owner's plugin alone,
//! serves the proxy, learns of the workload's end from the runtime, and restarts it by policy. It must not know any
//! particular runtime, nor the command line.
//!
//! Invariants:
//! - It holds the life lock as long as it lives; whether it lives is a question about that lock.
//! - While it starts a workload it holds the operation lock that it inherited and writes the transition; afterwards it
//!   writes only events that nobody asked for, and re-reads `desired` under the record lock before every restart.
//! - A handle is recorded, durably, before the workload's code runs (R12).
mod access;
mod busctl;
pub mod client;
mod client_socket;
mod config;
mod counts;
mod deployment;
mod deployment_work;
mod dial;
mod effects;
mod ending;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod log;
pub mod machine;
mod network_verdicts;
mod outside;
mod port;
mod preparing;
mod private_folders;
mod process;
mod progress;
mod readiness;
mod readiness_http;
mod reattach;
mod record_change;
mod recording;
mod report;
mod run_loop;
mod session_counts;
mod session_server;
mod session_servers;
mod settings_check;
mod settings_file;
mod settings_ranges;
pub mod source;
mod spec;
mod stopping;
pub mod systemd_scope;
mod workload_proxy;
mod wrong_transport;

pub use access::{change, check_exposure};
pub use client::control;
pub use client::control::ControlError;
pub use client::messages::AccessChange;
pub use client::protocol::{
    OperationsTold, Progress, StartMode, StartOutcome, SupervisorCounts, SupervisorReport, SupervisorRequest,
    Undelivered,
};
pub use client::spawn::{Supervisor, spawn};
pub use client_socket::check_client_socket;
pub use config::{Config, McpAllowList, McpSettings, ProxySettings, Settings};
pub use log::{RotatedLog, clear_logs, last_words, log_path};
pub use network_verdicts::NetworkVerdicts;
pub use port::{check_port, choose_port, free_port};
pub use process::{SUPERVISOR_ARGUMENT, run};
pub use settings_check::read_settings;
pub use settings_file::{PINS_FILE, SETTINGS_FILE, SettingsError, read_optional};
pub use settings_ranges::LIST_TIMEOUT_MS;
pub use source::Surroundings;
pub use spec::{PORT_VARIABLES, secret_values, specification};
