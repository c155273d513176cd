//! The runtime under test as cases reach it: what whoever runs them implements.
use crate::Error;
use std::{future::Future, pin::Pin, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};

/// An answer that is on its way. Dropping it cancels the operation.
pub type Reply<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

/// A runtime under test.
pub trait Subject {
    /// Connects to it as this host. Two hosts that are connected reach the same engine.
    fn connect(&self, host_id: &str) -> Reply<Arc<dyn Link>>;
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
    /// What it writes.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What it reads. Dropping it is the half-close.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The runtime answered with an error.
    #[error("{} ({})", .0.message, .0.code.as_str())]
    Answered(Error),
    /// It did not answer, or not in a form that can be read.
    #[error("{0}")]
    Broken(String),
}
