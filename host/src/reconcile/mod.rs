//! What is true of workloads: evidence from their owners, and what follows from it.
//!
//! Called by the command layer for `list`, `status` and `reconcile`. Judging and planning are pure functions; the observing part asks
//! each owner once, all at the same time, and never writes. It must not know any particular runtime.
//!
//! Invariants (the ownership contract): only the owner is asked and only the owner is believed (R02); what is shown
//! gets worse on positive evidence alone (R04); reading does not write (R05).
mod claim;
mod effective;
mod exit;
mod observe;
mod plan;
mod resource;
mod restart;
#[cfg(test)]
mod tests;

pub use claim::{Claim, claim, claim_among};
pub use effective::{Effective, EffectiveState, Evidence, Witnesses, judge, locks_looked_at};
pub use exit::how;
pub use observe::{Observed, Sighting, may_have_strangers, observe, observe_all, observe_strangers};
pub use plan::{Action, Locks, plan};
pub use resource::Resource;
pub(crate) use restart::Backoff;
pub use restart::wants_restart;
