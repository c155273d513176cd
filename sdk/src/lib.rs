#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod document;
pub mod launch;
pub mod stamp;
pub mod types;

mod context;
mod notification;
mod runtime;
mod stream;

// Public for the macro alone; nothing in it is an interface.
#[doc(hidden)]
pub mod abi;

pub use context::{Context, HostServices};
pub use runtime::{Attach, Confine, Dial, Logs, Pin, Runtime, Takeover};
pub use stream::ByteStream;
pub use types::*;
