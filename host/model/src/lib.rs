//! Workloads as data and as pure functions: their names, their RunConfig, their status record, the state that is shown of
//! one ([`assess`]), what reconciliation does about it ([`plan()`]), who owns it ([`claim()`]), whether it is started again
//! ([`wants_restart`]).
//!
//! Every package above uses it: the store, the runtimes, the supervisor, the commands. It knows nothing of files, locks,
//! plugins or Tokio; [`BootId`] and [`ProcessIdentity`], which it takes from the SDK, are values to it.
//!
//! Invariants (`docs/contract.md`): a state that is shown gets worse on positive evidence alone (R04); health is never
//! recorded, see [`Phase`].
mod advice;
mod claim;
mod edit;
mod effective_state;
mod error;
mod exit;
mod lock_kind;
mod owner;
mod phase;
mod plan;
mod proxy_auth;
mod raw_json;
mod resource;
mod restart;
mod run_config;
mod schema_version;
mod serde_field;
mod status_record;
mod suggest;
mod transport;
mod uid;
mod workload_name;

pub use advice::{Advice, NextStep, Setting};
pub use claim::{Claim, claim, claim_among};
pub use edit::EditEnd;
pub use effective_state::{Effective, EffectiveState, Evidence, Inputs, assess, locks_looked_at};
pub use error::{Error, ErrorKind, Result, chain};
pub use exit::how;
pub use lock_kind::LockKind;
pub use owner::Owner;
pub use phase::{Event, Phase, TransitionError};
pub use plan::{Action, EARLIER_IMPORT, Locks, Reason, plan};
pub use proxy_auth::ProxyAuth;
pub use raw_json::Opaque;
pub use resource::Resource;
pub use restart::{Backoff, RestartPolicy, wants_restart};
pub use run_config::{Imported, Instances, RunConfig, RunConfigError};
pub use schema_version::{SchemaVersion, SchemaVersionError};
pub use serde_field::says_nothing;
pub use status_record::{Desired, LastExit, SessionServer, StatusRecord};
pub use suggest::nearest;
pub use transport::{ProxyMode, Transport};
pub use uid::{HostId, IdError, Uid, random_hex};
pub use wharf_sdk::process_identity::{BootId, ProcessIdentity};
pub use workload_name::{NAME_LENGTH_MAX, NameError, WorkloadName};
