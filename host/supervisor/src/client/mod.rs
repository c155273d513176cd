//! The command's side of supervisors: starts one ([`spawn::spawn`]), and sends it requests ([`control`]).
pub mod control;
pub(crate) mod messages;
pub(crate) mod protocol;
pub(crate) mod socket_file;
pub(crate) mod spawn;
