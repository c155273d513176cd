//! Tests that drive the real router over real sockets, with a scripted server behind two pipes.
