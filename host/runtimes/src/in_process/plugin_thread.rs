//! [`PluginThread`]: one thread for each connection to a runtime. The plugin's code is entered, polled and dropped only
//! there.
//!
//! A plugin's entry may block before it returns a future, the future may block when it is polled, and a destructor may
//! block. Then this thread is stuck, callers give up at their own deadlines, and nothing else waits.
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

/// The thread. It ends when nobody holds it and nothing runs on it, since a process that lives long connects to runtimes
/// again and again. A stuck thread stays.
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
        // The runtime has no clock and no reactor. A plugin could not use them (it has its own Tokio), and without them the
        // thread wakes up sooner.
        let runtime = Builder::new_current_thread().build()?;
        let handle = runtime.handle().clone();
        let (held, released) = oneshot::channel::<()>();
        std::thread::Builder::new().name("plugin-thread".to_owned()).spawn(move || {
            let _ = runtime.block_on(released);
        })?;
        Ok(Self(Arc::new(Thread { handle, _held: held })))
    }

    /// Runs a future on the thread; dropping the returned value drops the future, on the thread.
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

    /// The task holds the thread, so the thread ends only after the plugin's future has ended or was dropped.
    fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let thread = self.clone();
        self.0.handle.spawn(async move {
            let outcome = future.await;
            drop(thread);
            outcome
        })
    }
}

/// A future that runs on a plugin's thread.
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

    /// Reports when its thread ends.
    struct Told(mpsc::Sender<()>);

    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    #[test]
    fn a_plugin_thread_ends_with_its_last_holder_and_not_before_its_work() {
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
