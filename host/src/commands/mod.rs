//! The command layer: one file for each command (create, start, stop, restart, remove, list, logs, ...), functions over a
//! [`Context`].
//!
//! Called by every front end (command line, REST, later MCP), which parses, calls and renders. Each command takes the
//! operation lock of its workload, changes records through the store alone, and goes to the owner or fails loudly (R08). It
//! must not print, and must not know any particular runtime.
mod adopt;
mod ask_server;
mod attended;
mod choose_runtime;
mod context;
mod counts;
mod create;
mod described;
mod discovery;
mod edit;
mod edit_request;
mod ends;
mod fetch;
mod forget;
mod group;
pub mod import;
mod keep_edit;
mod list;
mod locking;
mod logs;
mod lookup;
mod nesting;
mod orphan;
mod probe_network;
mod reconcile;
mod remove;
mod request;
mod settle;
mod start;
mod startable;
mod status;
mod stop;
mod url;
mod view;
mod volume;
mod watch;
mod weaker;

pub use adopt::{Adopted, Adoption, adopt};
pub(crate) use ask_server::call_until;
pub use ask_server::{Arguments, Called, PromptArgument, ServerPrompt, ServerResource, ServerTool};
pub use ask_server::{call, prompts, resources, tools};
pub use attended::{Attendant, run_in_foreground};
pub use context::{Context, Host};
pub use counts::counts;
pub(crate) use create::run_until;
pub use create::{closed_paths, run};
pub(crate) use edit::edit_until;
pub use edit::{EditResult, Edited, edit};
pub use edit_request::Change;
pub(crate) use ends::Ends;
pub use forget::{Forgotten, forget};
pub use group::{DEFAULT_GROUP, check_group, move_to_group};
pub use import::report::{Import, ImportResult};
pub use import::run::import_toolhive;
pub use list::{ListOptions, groups, list, names};
pub use logs::{AfterLog, LogReader, LogSource, follow_on, logs, proxy_log};
pub use nesting::refuse_blindness;
pub use orphan::{Orphan, OrphanId, orphans, remove_orphan};
pub use probe_network::{network_verdicts, probe_network};
pub use reconcile::{Reconciled, Reconciliation, reconcile};
pub use remove::remove;
pub(crate) use request::set_alike;
pub use request::{RunRequest, Started};
pub use start::{restart, start};
pub(crate) use start::{restart_until, start_until};
pub use status::{StatusReport, export, status};
pub use stop::{StopResult, Stopped, stop, stop_timeout};
pub use url::{ClientUrl, auth, change_access, url};
pub use view::WorkloadView;
pub use watch::{WatchedList, watch};
pub use weaker::allow_weaker;
