//! [`Connection`]: carries documents between the host and a runtime. [`crate::RuntimeClient`] calls it; it does not know
//! what the documents mean.
use crate::error::CallError;
use crate::raw_stream::RawStream;
use std::{future::Future, pin::Pin};

/// A future with an answer of a connection.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

/// One runtime, connected through one endpoint: in this process, or (the same documents) in another.
///
/// Dropping a future cancels the operation. Callers set deadlines; an implementation does not.
pub trait Connection: Send + Sync {
    /// Runs an operation.
    fn call(&self, operation: &'static str, document: String) -> Answer<String>;
    /// Opens a stream.
    fn open(&self, operation: &'static str, document: String) -> Answer<RawStream>;
    /// Ends the plugin's tasks in this process.
    fn shut_down(&self, deadline_ms: u64) -> Answer<()>;
}
