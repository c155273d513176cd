//! The protocol of records, locks, supervisors and owners as a model, checked in all its states.
//!
//! A test of the host tries one order of events; this tries all of them, for a few processes and a few deaths.
//! `tests/exhaustive.rs` runs it: the protocol as the contract has it must hold every property, and each [`Mutation`] must
//! be found. A mutation is a mistake known from other hosts, or a place where the host was found to depart from the
//! contract; the latter name the file.
//!
//! # The supervisor is the host's own
//!
//! The decisions of a supervisor are not modelled: [`wharf_supervisor::machine::step`] is called, and the effects that it
//! asks for are performed on the model's files, locks and engines (`steps/{supervisor,performing}.rs`). Between any two
//! effects it may be killed; an effect may fail, before it happens or after; a deployment may be late, or go on after it
//! was dropped; an engine may be away or be another one; requests, signals, the end of the client that waits and the loss
//! of the records come whenever the machine listens to them, and wait while it does not.
//!
//! # What is modelled
//!
//! | here | in the host |
//! |---|---|
//! | [`state::Config`], [`state::Record`] | `host/model/src/{run_config,status_record}.rs`; the table of phases is the host's own |
//! | [`state::Lock`], `steps/place.rs` | `host/records/src/file/{locks,byte_lock,store}.rs`: copies of a description, handing on, compare-and-set |
//! | `steps/command.rs` | `host/src/commands/{create,start,hand_over,stop,remove}.rs`, step for step |
//! | `steps/performing.rs` | `host/supervisor/src/{effects,deployment_work,deployment,recording,stopping}.rs`: one call, one listing or one record each |
//! | `steps/reader.rs` | `host/src/commands/list.rs`, `host/runtimes/src/{observe,observed}.rs`, `host/model/src/effective_state.rs` |
//! | `reconcile` | the contract's R06: the reader's verdict, then the command that brings the desired state about |
//! | `steps/environment.rs` | `kill -9` between any two steps, exits, engines that go, are replaced and come back |
//!
//! One step is one effect that others can see: a file replaced, a lock taken or released, a call of a plugin, a process
//! started; or one observation that others can make untrue. A read-modify-write is two steps, so that a record lock that
//! does not lock is seen.
//!
//! # What is abstracted
//!
//! - A file is replaced in one step: temporaries, fsync and corrupt files are for the tests of the store.
//! - Of a record, only the uid, the revision, the phase, `desired` and the handle are modelled. Ports and reasons of
//!   failures are not.
//! - Time is only an order of events. A deadline may pass wherever one is; a pause is over at once; attempts to restart are
//!   never used up, or all of them from the beginning; a lock is waited for as long as it takes.
//! - A list is answered at one instant, completely or not at all. An answer of another instance has nothing of ours.
//! - An engine finishes a client's request before it answers another question about the same workload. Plugins promise
//!   this for deployments that their supervisor drops; [`Mutation::LooksOnce`] shows what follows without that. If the supervisor
//!   was killed, the model takes it for granted: [`Mutation::EngineOutlivesItsClients`] shows that no order of records can do
//!   without it.
//! - A call of a plugin and the proof of the instance after it are two steps: another engine may answer the call; it has no
//!   resource of ours, and reports success. The proof is one list, with its instance in the same answer. A deployment that
//!   another engine makes is not followed.
//! - No reboot, no remote workload, no adoption. Of `--forget`, only the request to leave is modelled.
//!
//! # How large it is
//!
//! One model of everything would be too large, so [`scenarios`] has several: which commands meet, on one name or two, and
//! how many deaths, exits, outages, missed deadlines, faults and interruptions there may be. When all is quiet each name is
//! reconciled once; then records and runtimes must agree.
pub mod actions;
pub mod mutations;
pub mod properties;
pub mod reading;
pub mod scenarios;
pub mod state;
mod steps;

pub use actions::{Action, Protocol};
pub use mutations::{Mutation, Rules, Waits};
pub use scenarios::{Begin, Scenario};
