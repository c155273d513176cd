//! The ownership contract as properties: of the pure functions over all their possible arguments (`properties`), and of
//! records, locks and pure functions together over histories of operations (`histories`). Both are shrunk to the least that
//! breaks a rule. And a runtime that does not answer (`silent`).
mod any;
mod histories;
mod properties;
mod silent;
mod simulated_host;
