//! The plugin's side of the stable ABI. `export_runtime!` is built from it.
//!
//! Invariants: no panic leaves an entry; the author's code runs on this plugin's own Tokio runtime and nowhere else, and
//! its values are dropped there too; every wait has a bound. It must not know any particular runtime.
mod alternate_stack;
mod export;
mod forward;
mod pump;
mod serve;
mod tokio_runtime;
mod under_way;

pub use abi_stable;
pub use export::{Registration, connect, module};
pub use wharf_abi;

#[macro_use]
mod macros;
