//! Answers that a real API server cannot be made to give when a test wants them; a small server gives them.
mod busy;
mod deployed;
mod followed;
mod hostile;
mod relabelled;
mod renewed;
mod server;
