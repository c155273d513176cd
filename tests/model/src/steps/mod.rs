//! The steps of each participant. A step has one effect that others can see: a file written, a lock taken
//! or released, a call of a plugin; or one observation that others can make untrue.
//!
//! Each function answers with `None` where the step cannot be taken now: a lock is held, an engine has not settled.

pub(crate) mod command;
pub(crate) mod environment;
pub(crate) mod performing;
pub(crate) mod place;
pub(crate) mod reader;
pub(crate) mod supervisor;
