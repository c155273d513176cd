//! A thread for each connection to a runtime, on which alone the plugin's code is entered, polled and dropped.
//!
//! An entry of a plugin may block before it returns a future, a future may block when polled, a destructor may
//! block: then this thread is stuck, callers give up at their own deadlines, and nobody else notices.
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    task::{JoinError, JoinHandle},
};

/// The thread. It ends once nobody holds it and nothing runs on it: a process that lives long connects to runtimes again
/// and again. One that is stuck stays.
#[derive(Clone, Debug)]
pub(crate) struct PluginThread(Arc<Thread>);

#[derive(Debug)]
struct Thread {
    handle: Handle,
    /// Dropped with this, which ends the thread.
    _held: oneshot::Sender<()>,
}

impl PluginThread {
    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        // Without clock and reactor, which a plugin could not use anyway: a thread that waits for nothing but to be
        // woken wakes up sooner.
        let runtime = Builder::new_current_thread().build()?;
        let handle = runtime.handle().clone();
        let (held, released) = oneshot::channel::<()>();
        std::thread::Builder::new().name("wharf-lane".to_owned()).spawn(move || {
            let _ = runtime.block_on(released);
        })?;
        Ok(Self(Arc::new(Thread { handle, _held: held })))
    }

    /// Runs a future on the thread; dropping what is returned drops the future, there.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Running<T> {
        Running { task: self.spawn(future) }
    }

    /// Runs a future on the thread to its end.
    pub(crate) fn run_detached(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(self.spawn(future));
    }

    /// The task itself holds the thread, so that the plugin's future is at its end, or dropped, before the thread ends.
    fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let thread = self.clone();
        self.0.handle.spawn(async move {
            let outcome = future.await;
            drop(thread);
            outcome
        })
    }
}

/// Something that runs on a plugin's thread.
pub(crate) struct Running<T> {
    task: JoinHandle<T>,
}

impl<T> Future for Running<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(cx)
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, time::Duration};

    thread_local! {
        static AT_THE_END: std::cell::RefCell<Option<Told>> = const { std::cell::RefCell::new(None) };
    }

    /// Tells when its thread ends.
    struct Told(mpsc::Sender<()>);

    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    #[test]
    fn a_thread_ends_with_the_last_who_holds_it_and_not_before_its_work_does() {
        let thread = PluginThread::start().unwrap();
        let ((ended, end), (go, gone)) = (mpsc::channel(), tokio::sync::oneshot::channel::<()>());
        thread.run_detached(async move {
            AT_THE_END.set(Some(Told(ended)));
            let _ = gone.await;
        });
        drop(thread);
        assert_eq!(end.recv_timeout(Duration::from_millis(50)), Err(mpsc::RecvTimeoutError::Timeout));
        go.send(()).unwrap();
        assert_eq!(end.recv_timeout(Duration::from_secs(30)), Ok(()), "the thread stays");
    }
}
