//! Tests that drive the real router over real sockets, with a scripted server behind two pipes.
mod access;
mod attribution;
mod deviations;
mod gatekeeping;
mod http;
mod http_places;
mod lifecycle;
mod memory;
mod per_session;
mod rig;
mod robustness;
mod routing;
mod server_requests;
mod serving;
mod streams;
mod waiting;
mod wire;
