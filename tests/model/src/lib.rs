//! The protocol of records, locks, supervisors and owners as a model, checked in all its states.
//!
//! What a test of the host tries is one order of events; this tries all of them, for a few processes and a few deaths.
//! `tests/exhaustive.rs` runs it: the protocol as the contract has it must hold every property, and each
//! [`Mutation`] must be found. A mutation is a mistake known from other hosts, or a place where the host was found to
//! depart from the contract; the latter name the file.
//!
//! # What is modelled
//!
//! | here | in the host |
//! |---|---|
//! | [`state::Config`], [`state::Record`] | `host/model/src/{run_config,status_record}.rs`; the phases and their table are the host's own |
//! | [`state::Lock`], `steps/place.rs` | `host/records/src/file/{locks,byte_lock,store}.rs`: copies of a description, handing on, compare-and-set |
//! | `steps/command.rs` | `host/src/commands/{create,start,stop,remove}.rs`, step for step |
//! | `steps/supervisor.rs` | `host/supervisor/src/{lifecycle,deployment,run_loop}.rs` |
//! | `steps/reader.rs` | `host/src/commands/list.rs`, `host/runtimes/src/observe.rs`, `host/model/src/effective_state.rs` |
//! | `reconcile` | the contract's R06: the reader's verdict, then the command that brings about what is desired |
//! | `steps/environment.rs` | `kill -9` between any two steps, exits, engines that go, are replaced and come back |
//!
//! One step is one effect that others can see: a file replaced, a lock taken or released, a call of a plugin, a
//! process started; or one observation that others can make untrue. A read-modify-write is two steps, so that a record
//! lock that does not lock is seen.
//!
//! # What is abstracted
//!
//! - A file is replaced in one step: temporaries, fsync and corrupt files are for the tests of the store.
//! - Only the uid, the revision, the phase, what is desired and the handle of a record matter. A port is as good as
//!   another; why something failed is not told.
//! - Time is order alone. A deadline may pass wherever one is; backoff never ends, a lock is waited for as long as it
//!   takes, an engine that cannot be reached uses up no attempt.
//! - A list is answered at one instant, completely or not at all. An answer of another instance has nothing of ours.
//! - An engine settles what a client asked for before it answers another question about the same workload.
//!   [`Mutation::EngineOutlivesItsClients`] shows that no order of records can do without this.
//! - A call of a plugin and the proof of the instance before it are two steps where a record is dropped or `stopped`
//!   written after it: another engine may answer the call, has nothing of ours, and says that all is well. The proof
//!   after it is one list, which tells its instance with what it has. What another engine makes for a deployment, or
//!   a restart, is not followed: there proof and call are one step.
//! - No reboot, no remote workload, no adoption, no `--forget`, no foreground.
//!
//! # How large it is
//!
//! One model of everything would be too large, so [`scenarios`] has several: which commands meet, on one name or two,
//! and how many deaths, exits, outages and missed deadlines there may be. When all is quiet each name is reconciled
//! once; then records and runtimes must agree.
pub mod actions;
pub mod mutations;
pub mod properties;
pub mod reading;
pub mod scenarios;
pub mod state;
mod steps;

pub use actions::{Action, Protocol};
pub use mutations::{Mutation, Rules};
pub use scenarios::{Begin, Scenario};
