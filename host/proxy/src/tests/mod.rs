//! Tests that drive the real router over real sockets, with a scripted server behind two pipes.
mod access;
mod gatekeeping;
mod http;
mod lifecycle;
mod rig;
mod robustness;
mod routing;
mod serving;
mod streams;
