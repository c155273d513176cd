#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod document;
pub mod launch;
pub mod stamp;
pub mod types;

mod context;
mod runtime;
mod stream;

// Public for the macro alone; nothing in it is an interface.
#[doc(hidden)]
pub mod abi;

pub use context::{Context, HostServices};
pub use runtime::{Attach, Logs, Runtime};
pub use stream::ByteStream;
pub use types::*;
