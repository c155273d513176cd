//! The command layer: one file for each command (create, start, stop, restart, remove, list, logs, ...), functions over a
//! [`Context`].
//!
//! Called by every front end (command line, REST, later MCP), which parses, calls and renders. Each command takes the
//! operation lock of its workload, changes records through the store alone, and goes to the owner or fails loudly (R08). It
//! must not print, and must not know any particular runtime.
mod adopt;
mod attended;
mod choose_runtime;
mod context;
mod create;
mod discovery;
mod ends;
mod forget;
pub mod import;
mod list;
mod locking;
mod logs;
mod lookup;
mod nesting;
mod orphan;
mod reconcile;
mod remove;
mod request;
mod start;
mod status;
mod stop;
mod url;
mod view;
mod watch;

pub use adopt::{Adopted, Adoption, adopt};
pub use attended::{Attendant, run_in_foreground};
pub use context::{Context, Host};
pub use create::run;
pub(crate) use create::run_until;
pub(crate) use ends::Ends;
pub use forget::{Forgotten, forget};
pub use import::report::{Import, ImportResult};
pub use import::run::import_toolhive;
pub use list::{ListOptions, list, names};
pub use logs::{LogReader, LogSource, logs, proxy_log};
pub use nesting::refuse_blindness;
pub use orphan::{Orphan, OrphanId, orphans, remove_orphan};
pub use reconcile::{Reconciled, Reconciliation, reconcile};
pub use remove::remove;
pub use request::{RunRequest, Started};
pub use start::{restart, start};
pub(crate) use start::{restart_until, start_until};
pub use status::{StatusReport, export, status};
pub use stop::{StopResult, Stopped, stop};
pub use url::{ClientUrl, auth, change_access, url};
pub use view::WorkloadView;
pub use watch::{WatchedList, watch};
