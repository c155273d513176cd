//! A runtime as the host reaches it, whatever carries the documents.
use crate::error::CallError;
use std::{future::Future, os::fd::OwnedFd, pin::Pin};
use tokio::io::{AsyncRead, AsyncWrite};

/// A future of one of a connection's answers.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

/// One runtime, connected through one endpoint: in this process, or (the same documents) in another.
///
/// Dropping a future cancels the operation. Callers set deadlines; an implementation does not.
pub trait Connection: Send + Sync {
    /// Runs an operation.
    fn call(&self, operation: &'static str, document: String) -> Answer<String>;
    /// Opens a stream.
    fn open(&self, operation: &'static str, document: String) -> Answer<RawStream>;
    /// Ends what the plugin runs in this process.
    fn shut_down(&self, deadline_ms: u64) -> Answer<()>;
}

/// A byte stream of a runtime.
pub enum RawStream {
    /// Plain descriptors, now the host's own.
    Descriptors {
        /// The workload's output.
        reader: Option<OwnedFd>,
        /// The workload's input.
        writer: Option<OwnedFd>,
    },
    /// Bytes that go through the plugin.
    Copied {
        /// The workload's output.
        reader: Box<dyn AsyncRead + Send + Unpin>,
        /// The workload's input; dropping it is the half-close.
        writer: Box<dyn AsyncWrite + Send + Unpin>,
    },
}
