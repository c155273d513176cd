//! What a command needs of supervisors: to start one ([`spawn::spawn`]), and to speak to it ([`control`]).
pub mod control;
pub(crate) mod messages;
pub(crate) mod protocol;
pub(crate) mod socket_file;
pub(crate) mod spawn;
