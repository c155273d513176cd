//! The plugin's side of the stable ABI: what `export_runtime!` is made of.
//!
//! Invariants: no panic leaves an entry; the author's code runs on this plugin's own Tokio runtime and nowhere else,
//! its values are dropped there too; nothing waits without a bound. It must not know any particular runtime.
mod alternate_stack;
mod export;
mod forward;
mod pump;
mod serve;
mod tokio_runtime;

pub use abi_stable;
pub use export::{Registration, connect, module};
pub use wharf_abi;

#[macro_use]
mod macros;
