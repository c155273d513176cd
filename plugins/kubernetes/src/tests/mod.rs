//! What a real API server cannot be made to say when a test wants it, said by a small one.
mod busy;
mod server;
