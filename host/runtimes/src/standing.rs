//! [`Standing`]: whether a connection to a runtime answers anything at all.
//!
//! Called by [`crate::RuntimeClient`] when a call has missed its deadline on the host's side. A plugin whose engine is slow
//! notices the deadline by itself, and answers with that; one whose threads are all blocked answers nothing, until the
//! call that blocks it returns.
use crate::call_documents::write;
use crate::connection::Connection;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use wharf_sdk::document::{Nothing, operation};

/// How long a connection that gave no answer may take to show that it is there.
const TRIAL: Duration = Duration::from_secs(2);

/// Whether a connection answers anything. A clone is of the same connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// It gave no answer, and is being tried.
    is_doubted: AtomicBool,
    /// It did not answer when it was tried.
    is_hung: AtomicBool,
}

impl Standing {
    /// Whether it answers nothing at all, as far as is known.
    pub(crate) fn is_hung(&self) -> bool {
        self.0.is_hung.load(Ordering::Relaxed)
    }

    /// Tries a connection that gave no answer: once at a time.
    pub(crate) fn doubt(&self, connection: &Arc<dyn Connection>) {
        if self.0.is_doubted.swap(true, Ordering::Relaxed) {
            return;
        }
        let (connection, flags) = (Arc::clone(connection), self.0.clone());
        tokio::spawn(async move {
            // The plugin's half notices this deadline, too: so an engine that hangs does not keep it from answering.
            if let Ok(document) = write(operation::INSTANCE, Nothing {}, Some(TRIAL / 2)) {
                let mut asked = connection.call(operation::INSTANCE, document);
                if tokio::time::timeout(TRIAL, &mut asked).await.is_err() {
                    flags.is_hung.store(true, Ordering::Relaxed);
                    let _ = asked.await;
                    flags.is_hung.store(false, Ordering::Relaxed);
                }
            }
            flags.is_doubted.store(false, Ordering::Relaxed);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Answer;
    use crate::raw_stream::RawStream;
    use tokio::sync::Notify;

    /// Answers once it is released.
    struct Blocked(Arc<Notify>);

    impl Connection for Blocked {
        fn call(&self, _: &'static str, _: String) -> Answer<String> {
            let released = self.0.clone();
            Box::pin(async move {
                released.notified().await;
                Ok(String::new())
            })
        }

        fn open(&self, _: &'static str, _: String) -> Answer<RawStream> {
            Box::pin(std::future::pending())
        }

        fn shut_down(&self, _: u64) -> Answer<()> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_hung_from_a_trial_that_fails_until_it_answers() {
        let released = Arc::new(Notify::new());
        let connection: Arc<dyn Connection> = Arc::new(Blocked(released.clone()));
        let standing = Standing::default();
        standing.doubt(&connection);
        standing.doubt(&connection);
        tokio::time::sleep(TRIAL / 2).await;
        assert!(!standing.is_hung(), "it is being tried");
        tokio::time::sleep(TRIAL).await;
        assert!(standing.is_hung());
        released.notify_one();
        tokio::time::sleep(TRIAL).await;
        assert!(!standing.is_hung());
        // One that answers is not hung.
        standing.doubt(&connection);
        released.notify_one();
        tokio::time::sleep(2 * TRIAL).await;
        assert!(!standing.is_hung());
    }
}
