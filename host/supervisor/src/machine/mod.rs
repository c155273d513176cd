//! The supervisor as a machine: every decision that it takes, and nothing else.
//!
//! [`step`] is a pure function from a state and an event to the next state and effects. It performs nothing, and knows no
//! clock (durations are part of events and effects), no Tokio and no file. The run loop (`run_loop.rs`) waits for events,
//! performs effects (`effects.rs`), and feeds their outcomes back. The model checker (`tests/model`) drives this very
//! function, with faults between any two effects. The table in docs/supervisor.md is what [`step`] does in every state that
//! can be reached; a test compares them.
//!
//! Invariants, tried in every reachable state by the tests of this module:
//! - Every work is answered by one event, and each such answer leads to another state.
//! - Nothing is deployed or started before this process is on record, nor started before the handle is (R12).
//! - The end is reached from everywhere, and nothing follows it.
mod effect;
mod event;
mod pauses;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod transitions;

pub use effect::{Effect, End, Left, Reply, Work};
pub use event::{Ask, Earlier, Ending, Event};
pub(crate) use pauses::LONGEST_ABSENCE;
pub use pauses::Pauses;
pub use state::{Again, At, Behalf, Cause, Clearing, During, Hears, Made, State, Task, Workload};
pub use table::step;
pub(crate) use transitions::STDIN_GRACE;
