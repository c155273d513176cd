//! The records: what workloads are, and what was last recorded of them; their files, their locks.
//!
//! For the command layer, supervisors and reconciliation. The room knows files, locks and process identities; it knows
//! neither plugins nor proxies, starts and signals nothing, and never reads the environment: a [`StateDir`] is given.
//!
//! Invariants:
//! - Reading writes nothing, takes no lock, and works on a read-only or full disk (R05).
//! - A RunConfig is the first file of a workload and the last one (R01); its creation reserves the name.
//! - Each write holds the record lock, compares uid and revision, and replaces a file as a whole: a crash leaves the
//!   old record or the new one (R11). Fields that this version does not know survive it.
//! - What cannot be read is not written over and not repaired. What is corrupt keeps its bytes.
//! - Locks are asked without being taken, and the file that they are ranges of is never unlinked.
//! - Health is never recorded: see [`phase`](Phase).

mod atomic;
mod byte_lock;
mod document;
mod effect;
mod fault;
mod field;
mod host_id;
mod id;
mod identity;
mod lock_error;
mod lock_kind;
mod locks;
mod name;
mod opaque;
mod phase;
mod proxy_auth;
mod proxy_secret;
mod record;
mod removal;
mod run_config;
mod schema;
mod state_dir;
mod store;
mod watch;

#[cfg(test)]
mod locks_tests;
#[cfg(test)]
mod proxy_secret_tests;
#[cfg(test)]
mod records_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod test_process;

pub(crate) use atomic::Folder;
pub use document::{Kept, RECORD_BYTES_MAX};
pub use effect::{Effect, EffectError};
pub use fault::{Corruption, ReadError, StoreError};
pub use id::{HostId, IdError, Uid};
pub use identity::{BootId, IdentityError, ProcessIdentity};
pub use lock_error::LockError;
pub use lock_kind::LockKind;
pub use locks::{LifeLock, LifeProbe, OperationLock, RecordLock};
pub use name::{NAME_LENGTH_MAX, NAME_LENGTH_MIN, NameError, WorkloadName};
pub use opaque::Opaque;
pub use phase::{Event, Phase, TransitionError};
pub use proxy_auth::ProxyAuth;
pub use proxy_secret::{ProxySecret, ProxySecrets};
pub use record::{Desired, LastExit, StatusRecord};
pub use run_config::{Imported, Owner, ProxyMode, RestartPolicy, RunConfig, RunConfigError, Transport};
pub use schema::{SchemaVersion, SchemaVersionError};
pub use state_dir::StateDir;
pub use store::{Listing, RecordKind, Store};
pub use watch::Watch;
