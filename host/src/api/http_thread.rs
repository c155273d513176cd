//! The thread that speaks HTTP, and the way of a request from there to the workers.
//!
//! Called by what serves. Workers read and write files, and may wait for a disk; this thread touches none, so that whoever
//! asks whether somebody serves is answered whatever the disk does. It must not know any route but that one.
use crate::api::gate::LIVE;
use crate::api::problem::Problem;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::future::Future;
use std::io;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use wharf_model::{Error, ErrorKind};

/// Runs on a thread of its own what takes and answers requests.
pub(crate) async fn on_own_thread<F: Future<Output = io::Result<()>>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> io::Result<()> {
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        let served = Builder::new_current_thread().enable_all().build();
        let served = served.and_then(|runtime| runtime.block_on(async { work().await }));
        // Nobody listens any more where the end was asked for twice.
        let _ = tell.send(served);
    })?;
    told.await.unwrap_or_else(|_| Err(io::Error::other("the thread that speaks HTTP broke")))
}

/// Has a worker answer a request. It is given up when its client goes, as if it was answered here.
pub(crate) async fn by_workers(State(workers): State<Handle>, request: Request, next: Next) -> Response {
    if request.uri().path() == LIVE {
        return next.run(request).await;
    }
    let answered = AbortOnDropHandle::new(workers.spawn(next.run(request))).await;
    answered.unwrap_or_else(|error| {
        Problem::from(Error::caused(ErrorKind::Failed, "the request broke", &error)).into_response()
    })
}
