//! A thread for each runtime of a library, on which alone its code is entered, polled and dropped.
//!
//! An entry of a plugin may block before it returns a future, a future may block when polled, a destructor may
//! block: then this thread is stuck, whoever waits for it gives up at its own deadline, and nobody else notices.
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    runtime::{Builder, Handle},
    task::{JoinError, JoinHandle},
};

/// The thread of a runtime. It lives as long as the process: a plugin is never unloaded.
#[derive(Clone, Debug)]
pub(crate) struct PluginThread(Handle);

impl PluginThread {
    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        // Without clock and reactor, which a plugin could not use anyway: a thread that waits for nothing but to be
        // woken wakes up sooner.
        let runtime = Builder::new_current_thread().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("wharf-lane".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(Self(handle))
    }

    /// Runs a future on the thread; dropping what is returned drops the future, there.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Running<T> {
        Running(self.0.spawn(future))
    }

    /// Runs a future on the thread to its end.
    pub(crate) fn run_detached(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.spawn(future));
    }
}

/// Something that runs on a lane.
pub(crate) struct Running<T>(JoinHandle<T>);

impl<T> Future for Running<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
