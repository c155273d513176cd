//! HTTP for both kinds of proxy: connections, bodies of requests, admission, answers.
pub(crate) mod access;
pub(crate) mod admission;
pub(crate) mod body;
pub(crate) mod budget;
pub(crate) mod classify;
pub(crate) mod connection;
pub(crate) mod guarded;
pub(crate) mod lines;
pub(crate) mod pieces;
pub(crate) mod places;
pub(crate) mod refusal;
pub(crate) mod respond;
pub(crate) mod serve;
