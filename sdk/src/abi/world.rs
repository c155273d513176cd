//! The plugin's own Tokio runtime, on which everything of the author's runs.
//!
//! Statics are not shared across a dynamic library, so the host's Tokio is another one: a future of the author's that
//! was polled by the host would find no reactor. It is spawned here instead, and the host polls only a handle whose
//! drop aborts the task: the author's values are then dropped by a worker of this runtime, and a panic in their drop
//! stays here.
use super::alternate_stack;
use crate::types::{Error, ErrorCode, Result};
use abi_stable::std_types::{RResult, RString};
use std::{
    any::Any,
    future::Future,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll, ready},
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::{JoinError, JoinHandle},
};
use wharf_abi::FfiFuture;

/// Few threads: a plugin waits for engines and computes nothing, and each supervisor has one.
const WORKERS: usize = 2;

static WORLD: OnceLock<std::result::Result<Runtime, String>> = OnceLock::new();

/// The runtime, made at its first use.
pub(super) fn handle() -> Result<&'static Handle> {
    WORLD
        .get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(WORKERS)
                .thread_name("wharf-plugin")
                .on_thread_start(alternate_stack::give)
                .enable_all()
                .build()
                .map_err(|error| error.to_string())
        })
        .as_ref()
        .map(Runtime::handle)
        .map_err(|error| Error::internal(format!("the plugin's threads cannot be started: {error}")))
}

/// Runs a future of the plugin's and gives the host something to poll. Errors become documents.
pub(super) fn run<T: Send + 'static>(
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> FfiFuture<RResult<T, RString>> {
    let task = handle().map(|handle| Task(handle.spawn(future)));
    FfiFuture::new(async move {
        let outcome = match task {
            Ok(task) => task.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(value) => RResult::ROk(value),
            Err(error) => RResult::RErr(error_document(&error)),
        }
    })
}

/// An error as it crosses.
pub(super) fn error_document(error: &Error) -> RString {
    // An `Error` holds only strings and JSON, which can always be written.
    serde_json::to_string(error).unwrap_or_default().into()
}

/// A task that is aborted when its handle is dropped; dropping a bare `JoinHandle` would let it run on.
struct Task<T>(JoinHandle<Result<T>>);

impl<T> Future for Task<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(outcome) => outcome,
            Err(error) => Err(task_error(error)),
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a task gave no result.
pub(super) fn task_error(error: JoinError) -> Error {
    if error.is_cancelled() {
        return Error::new(ErrorCode::Cancelled, "the operation was cancelled");
    }
    Error::internal(format!("the plugin panicked: {}", panic_message(error.into_panic().as_ref())))
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
