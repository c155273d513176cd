//! [`Listings`]: lists that several requests share.
//!
//! Called by the route of the list. A list asks all runtimes and looks at all records, so clients that ask for the same at
//! the same time get the same. It must not know how a list is made.
//!
//! Situation: a client has just created a workload and asks for the list, while another one's list is being made. That one
//! may have passed the place of the new workload already. Conclusion: a request shares only a list that begins after the
//! request came. So it waits until the one under way has ended, with all others that come meanwhile, and the next one is for
//! all of them.
//!
//! Situation: a runtime takes seconds to answer. Who comes then would wait for two such lists. Conclusion: a list under way is
//! waited for a moment only; then the next one is made beside it.
use crate::api::problem::Problem;
use crate::commands::ListOptions;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, WeakShared};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// So long is a list under way waited for: a few times as long as one takes whose runtimes answer at once.
const TURN_WAIT: Duration = Duration::from_millis(100);

/// A list as it is answered.
type Answer = Result<Bytes, Problem>;

/// The lists that are asked for now, by what they list.
#[derive(Default)]
pub(crate) struct Listings(Mutex<HashMap<ListOptions, Weak<Question>>>);

/// A list that is asked for by at least one request.
#[derive(Default)]
struct Question {
    /// Held while one is made.
    turn: tokio::sync::Mutex<()>,
    /// The one that has not begun.
    next: Mutex<Option<WeakShared<BoxFuture<'static, Answer>>>>,
}

impl Listings {
    /// A list that begins after this call. `list` makes it, unless another call has one that has not begun.
    pub(crate) async fn ask<F>(&self, options: ListOptions, list: impl FnOnce() -> F) -> Answer
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let question = self.question(options);
        let listing = {
            let mut next = question.next();
            // Dropped by all who waited for it, it never begins.
            next.as_ref().and_then(WeakShared::upgrade).unwrap_or_else(|| {
                let listing = in_turn(question.clone(), list()).boxed().shared();
                *next = listing.downgrade();
                listing
            })
        };
        listing.await
    }

    fn question(&self, options: ListOptions) -> Arc<Question> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody waits for any more.
        all.retain(|_, question| question.strong_count() > 0);
        if let Some(question) = all.get(&options).and_then(Weak::upgrade) {
            return question;
        }
        let question = Arc::<Question>::default();
        all.insert(options, Arc::downgrade(&question));
        question
    }
}

impl Question {
    fn next(&self) -> MutexGuard<'_, Option<WeakShared<BoxFuture<'static, Answer>>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn in_turn(question: Arc<Question>, list: impl Future<Output = Answer> + Send) -> Answer {
    let turn = tokio::time::timeout(TURN_WAIT, question.turn.lock()).await;
    // It begins: who comes from now on needs another one.
    *question.next() = None;
    let answer = list.await;
    drop(turn);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::task::{JoinHandle, yield_now};
    use tokio::time::Instant;

    #[derive(Clone, Default)]
    struct Rig {
        listings: Arc<Listings>,
        begun: Arc<AtomicUsize>,
    }

    impl Rig {
        /// Asks for a list that takes so long; its answer is its number.
        fn ask(&self, takes: Duration) -> JoinHandle<String> {
            let Self { listings, begun } = self.clone();
            let list = move || async move {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(takes).await;
                Ok(Bytes::from(number.to_string()))
            };
            tokio::spawn(async move {
                let answer = listings.ask(ListOptions::default(), list).await.unwrap();
                String::from_utf8(answer.to_vec()).unwrap()
            })
        }

        async fn until_begun(&self, count: usize) {
            while self.begun.load(Ordering::SeqCst) < count {
                yield_now().await;
            }
        }
    }

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn who_asks_while_a_list_is_made_shares_the_next_one_and_never_that_one() {
        let rig = Rig::default();
        let first = rig.ask(SHORT);
        rig.until_begun(1).await;
        let later: Vec<_> = (0..5).map(|_| rig.ask(SHORT)).collect();
        assert_eq!(first.await.unwrap(), "1");
        for answer in later {
            assert_eq!(answer.await.unwrap(), "2");
        }
        assert_eq!(rig.ask(SHORT).await.unwrap(), "3", "an answer is nobody's who asks after it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_takes_long_holds_up_no_other() {
        let rig = Rig::default();
        let slow = rig.ask(Duration::from_secs(3600));
        rig.until_begun(1).await;
        let asked = Instant::now();
        let later: Vec<_> = (0..3).map(|_| rig.ask(SHORT)).collect();
        for answer in later {
            assert_eq!(answer.await.unwrap(), "2");
        }
        assert!(asked.elapsed() < Duration::from_secs(1));
        slow.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_takes_no_list_from_the_others() {
        let rig = Rig::default();
        let first = rig.ask(SHORT);
        rig.until_begun(1).await;
        let (goes, stays) = (rig.ask(SHORT), rig.ask(SHORT));
        yield_now().await;
        goes.abort();
        first.abort();
        assert_eq!(stays.await.unwrap(), "2");
        // All who waited are gone before it began.
        let slow = rig.ask(Duration::from_secs(3600));
        rig.until_begun(3).await;
        let goes = rig.ask(SHORT);
        yield_now().await;
        goes.abort();
        slow.abort();
        assert_eq!(rig.ask(SHORT).await.unwrap(), "4");
        let other = ListOptions { all: true, ..ListOptions::default() };
        let listings = rig.listings.clone();
        listings.ask(other, || async { Ok(Bytes::new()) }).await.unwrap();
        assert_eq!(listings.0.lock().unwrap().len(), 1, "nothing is kept of what nobody asks for");
    }
}
