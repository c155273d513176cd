//! [`Subject`] and [`Link`]: the runtime under test as the cases call it. A program that runs the cases implements them.
use crate::Error;
use std::{future::Future, pin::Pin, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};

/// A pending answer. Dropping it cancels the operation.
pub type Reply<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

/// A runtime under test.
pub trait Subject {
    /// Connects to the runtime as this host, through the given endpoint or the usual one. Two hosts that use the usual
    /// endpoint reach the same engine.
    fn connect(&self, host_id: &str, endpoint: Option<&str>) -> Reply<Arc<dyn Link>>;
}

/// A runtime, connected.
pub trait Link: Send + Sync {
    /// Runs an operation of [`crate::document::operation`].
    fn call(&self, operation: &'static str, document: String) -> Reply<String>;
    /// Opens a stream.
    fn open(&self, operation: &'static str, document: String) -> Reply<Pipe>;
}

/// A byte stream of a workload.
pub struct Pipe {
    /// The workload's output.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// The workload's input. Dropping it is the half-close.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The runtime answered with an error.
    #[error("{} ({})", .0.message, .0.code.as_str())]
    Answered(Error),
    /// The runtime did not answer, or not in a form that can be read.
    #[error("{0}")]
    Broken(String),
}
