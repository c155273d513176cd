//! The plugin's own Tokio runtimes, which run all of the author's code: one for each name and endpoint, so that an engine
//! whose calls block holds up no other engine of the library.
//!
//! Statics are not shared across a dynamic library, so the host's Tokio is another copy: if the host polled a future of the
//! author's, that future would find no reactor. So the future is spawned here, and the host polls only a handle whose drop
//! aborts the task. The author's values are then dropped by a worker of this runtime, and a panic in their drop stays here.
use super::alternate_stack;
use crate::types::{Error, ErrorCode, Result};
use abi_stable::std_types::{RResult, RString};
use std::{
    any::Any,
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::{JoinError, JoinHandle},
};
use wharf_abi::FfiFuture;

/// Few threads: a plugin waits for engines and computes nothing, and each supervisor has one.
const WORKERS: usize = 2;

/// The stack of each. An engine's documents are nested, and what reads them takes more than the usual two mebibytes in a build
/// for debugging. Of what is not used no memory is taken.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// A name of the library, and an endpoint.
type Key = (String, Option<String>);

static RUNTIMES: Mutex<Option<HashMap<Key, Runtime>>> = Mutex::new(None);

/// The Tokio runtime for one of the library's names at an endpoint. The first call makes it; it stays for the life of the
/// process, as the library does, and a second connection gets the same one.
pub(super) fn of(name: &str, endpoint: Option<&str>) -> Result<Handle> {
    let mut runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
    let runtimes = runtimes.get_or_insert_default();
    let key = (name.to_owned(), endpoint.map(str::to_owned));
    if let Some(runtime) = runtimes.get(&key) {
        return Ok(runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_stack_size(STACK_BYTES)
        // A host whose process ends in one of these threads can tell by it which runtime that was.
        .thread_name(name)
        .on_thread_start(alternate_stack::give)
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("the plugin's threads cannot be started: {error}")))?;
    Ok(runtimes.entry(key).or_insert(runtime).handle().clone())
}

/// Runs a future of the plugin's and gives the host something to poll. Errors become documents.
pub(super) fn run<T: Send + 'static>(
    runtime: &Handle,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> FfiFuture<RResult<T, RString>> {
    let task = Task(runtime.spawn(future));
    FfiFuture::new(async move {
        match task.await {
            Ok(value) => RResult::ROk(value),
            Err(error) => RResult::RErr(error_document(&error)),
        }
    })
}

/// A future that fails at once, for calls that could not begin.
pub(super) fn refuse<T: Send + 'static>(error: &Error) -> FfiFuture<RResult<T, RString>> {
    let document = error_document(error);
    FfiFuture::new(async move { RResult::RErr(document) })
}

/// An error as the document that crosses the ABI.
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

/// The error for a task that gave no result.
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
