//! The records of workloads (RunConfig, status record, proxy secret) as files, and their locks.
//!
//! Commands and supervisors read and write them through [`Store`]. It knows files and locks; it knows neither runtimes nor
//! proxies, starts and signals no process, and never reads the environment: its caller gives it a [`StateDir`].
//!
//! Invariants:
//! - Reading writes nothing, takes no lock, and works on a read-only or full disk (R05).
//! - A RunConfig is the first file of a workload and the last one (R01); its creation reserves the name.
//! - Each write holds the record lock, compares uid and revision, and replaces a file as a whole: a crash leaves the old
//!   record or the new one (R11). Fields that this version does not know survive it.
//! - A file that cannot be read is not written over and not repaired. A corrupt one keeps its bytes.
//! - What a long-lived reader has kept is shown only while the file's `stat` says that it is the one that was read.
//! - A reader asks about a lock without taking it, and the file that they are ranges of is never unlinked.
mod effect;
mod error;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod lock_error;

pub use effect::{Effect, EffectError};
pub use error::{Corruption, ReadError, StoreError};
pub use file::atomic::Durability;
pub use file::document::{Kept, RECORD_BYTES_MAX};
pub use file::folder::Folder;
pub use file::inotify::Watch;
pub use file::listing::Listing;
pub use file::locks::{LifeLock, LifeProbe, OperationLock, RecordLock};
pub use file::own_files::OwnFiles;
pub use file::proxy_secret::{ProxySecret, ProxySecrets};
pub use file::recent::RecentRecords;
pub use file::state_dir::StateDir;
pub use file::store::{RecordKind, Store};
pub use lock_error::LockError;
