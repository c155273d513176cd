//! The conformance suite: cases that test the sentences of [`crate::Runtime`] on any runtime.
//!
//! `wharf runtime test LIBRARY` runs them, each in processes of its own, so that a crash, an abort or a hang of a plugin is
//! a failed case and nothing more. The cases see a runtime as a host does, through the documents of [`crate::document`]: a
//! program that runs them implements [`Subject`] and [`Link`]. They must not know how the documents are carried, nor any
//! particular runtime.
//!
//! Invariants: a case fails only on what the contract forbids; it removes what it made; it needs no other case to have run;
//! and its id is never used again for another sentence.
mod attach;
mod breach;
mod case;
mod client;
mod core;
mod dial;
mod exit;
mod fixture;
mod hostile;
mod limits;
mod list;
mod listening;
mod logs;
mod material;
mod network;
mod permissions;
mod pin;
mod ports;
mod probe;
mod recover;
mod restarts;
mod run;
mod stream;
mod subject;
mod suite;

pub use case::{Case, Need, Profile};
pub use fixture::{Setting, sweep};
pub use material::{Connector, Listener, Material};
pub use run::{Outcome, run};
pub use subject::{Fault, Link, Pipe, Reply, Subject};
pub use suite::{case, cases};
