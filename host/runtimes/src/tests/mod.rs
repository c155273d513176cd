//! The ownership contract as properties: of the pure functions over all their possible arguments (`properties`), and of
//! records, locks and pure functions together over histories of operations (`histories`). Both are shrunk to the least that
//! breaks a rule. And the deadlines (`deadlines`).
mod any;
mod deadlines;
mod histories;
mod house;
mod properties;
