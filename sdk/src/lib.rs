#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod document;
#[cfg(feature = "files")]
pub mod files;
pub mod keyed_lock;
#[cfg(feature = "launcher")]
pub mod launch;
#[cfg(feature = "pidfd")]
pub mod pidfd;
pub mod process_identity;
pub mod stamp;
pub mod types;

mod context;
mod disk_advice;
mod error_chain;
mod machine_id;
mod memory_kills;
mod notification;
mod runtime;
mod stream;

// Public only because the macro needs it; nothing in it is an interface.
#[doc(hidden)]
pub mod abi;

pub use context::{Context, HostServices};
pub use disk_advice::disk_advice;
pub use error_chain::error_chain;
pub use machine_id::machine_id;
pub use memory_kills::{OUT_OF_MEMORY, memory_kills};
pub use runtime::{Attach, Confine, Dial, Discover, Logs, Pin, Probe, Runtime};
pub use stream::ByteStream;
pub use types::*;
