//! [`Overdue`]: the places whose answer is overdue, in a process that lives long. Whoever only shows answers does not wait for
//! them again: the question goes on by itself, and its rows are stale meanwhile.
//!
//! Called by [`crate::observe()`] for each question. A place is a runtime's name and an endpoint. It must not know what is
//! asked.
//!
//! ```text
//!            answered in time                 no answer in time
//!  waited for ──────────────▶ waited for ; waited for ────────▶ overdue, the question goes on
//!  overdue, the question goes on ── an answer, or a prompt error ──▶ waited for
//!                                └─ an error, late ───────────────▶ overdue, asked again by who comes after a pause
//! ```
use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// The first pause before a place is asked again; each further one is twice as long,
const PAUSE: Duration = Duration::from_secs(5);
/// up to this.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// A runtime's name, and an endpoint.
type Place = (String, String);

/// How long somebody waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// So long at most.
    pub(crate) deadline: Duration,
    /// The answer is only shown: the one that was missed is not waited for again.
    pub(crate) is_shown: bool,
}

/// The places whose answer is overdue.
#[derive(Debug, Default)]
pub(crate) struct Overdue {
    late: Mutex<HashMap<Place, Late>>,
    /// Nothing is remembered by a process that ends soon.
    is_kept: AtomicBool,
}

#[derive(Debug)]
struct Late {
    since: Instant,
    /// A question is under way.
    is_asked: bool,
    /// Not before this is it asked again,
    next: Instant,
    /// after so long.
    pause: Duration,
}

/// How a question is dealt with.
enum Turn {
    /// Its answer is waited for.
    Wait,
    /// It is asked, and nobody waits.
    AskAlone,
    /// It is not asked now.
    Leave,
}

impl Overdue {
    /// This process lives long: from now on, what is overdue is remembered.
    pub(crate) fn keep(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    fn late(&self) -> MutexGuard<'_, HashMap<Place, Late>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a question at a place, or why there is none.
    pub(crate) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        place: &Place,
        Patience { deadline, is_shown }: Patience,
        question: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> Result<T, String> {
        let late = || format!("the runtime '{}' gave no answer in time", place.0);
        if !self.is_kept.load(Ordering::Relaxed) {
            return tokio::time::timeout(deadline, question).await.unwrap_or_else(|_| Err(late()));
        }
        let turn = if is_shown { self.turn(place) } else { Turn::Wait };
        if matches!(turn, Turn::Leave) {
            return Err(self.reason(place));
        }
        let ended = Arc::new(AtomicBool::new(false));
        let asked = tokio::spawn({
            let (overdue, place, ended) = (self.clone(), place.clone(), ended.clone());
            async move {
                let began = Instant::now();
                let answer = question.await;
                overdue.ended(&place, answer.is_ok() || began.elapsed() < deadline, &ended);
                answer
            }
        });
        if matches!(turn, Turn::AskAlone) {
            return Err(self.reason(place));
        }
        // A caller that does more than show answers cancels a question that it gives up.
        let (asked, gives_up) = (AbortOnDropHandle::new(asked), !is_shown);
        match tokio::time::timeout(deadline, wait(asked, gives_up)).await {
            Ok(answer) => answer,
            Err(_) => {
                self.missed(place, is_shown, &ended);
                Err(late())
            }
        }
    }

    fn turn(&self, place: &Place) -> Turn {
        match self.late().get_mut(place) {
            None => Turn::Wait,
            Some(late) if late.is_asked || Instant::now() < late.next => Turn::Leave,
            Some(late) => {
                late.is_asked = true;
                Turn::AskAlone
            }
        }
    }

    /// Nobody waits for this answer any more. It may have come at the same moment.
    fn missed(&self, place: &Place, goes_on: bool, ended: &AtomicBool) {
        let mut all = self.late();
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let now = Instant::now();
        let new = Late { since: now, is_asked: false, next: now + PAUSE, pause: PAUSE };
        let late = all.entry(place.clone()).or_insert(new);
        late.is_asked |= goes_on;
    }

    /// A question has ended. If the place answers, it is waited for as before.
    fn ended(&self, place: &Place, answers: bool, ended: &AtomicBool) {
        let mut all = self.late();
        ended.store(true, Ordering::Relaxed);
        if answers {
            all.remove(place);
        } else if let Some(late) = all.get_mut(place) {
            late.is_asked = false;
            late.next = Instant::now() + late.pause;
            late.pause = (late.pause * 2).min(PAUSE_MAX);
        }
    }

    fn reason(&self, place: &Place) -> String {
        let seconds = self.late().get(place).map_or(0, |late| late.since.elapsed().as_secs());
        format!(
            "the runtime '{}' has given no answer for {seconds} s; it is not waited for, and asked again",
            place.0
        )
    }
}

/// Waits for the end of a task; giving this up leaves it alone, unless it is to be given up, too.
async fn wait<T>(asked: AbortOnDropHandle<Result<T, String>>, gives_up: bool) -> Result<T, String> {
    let broken = |error| Err(format!("the question broke: {error}"));
    if gives_up { asked.await.unwrap_or_else(broken) } else { asked.detach().await.unwrap_or_else(broken) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        ("slow".to_owned(), String::new())
    }

    const SHOWN: Patience = Patience { deadline: Duration::from_secs(2), is_shown: true };

    async fn after(seconds: u64, answer: Result<u8, String>) -> Result<u8, String> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        answer
    }

    async fn timed(
        overdue: &Arc<Overdue>,
        takes: u64,
        answer: Result<u8, String>,
    ) -> (Result<u8, String>, u64) {
        let began = Instant::now();
        let answer = overdue.ask(&place(), SHOWN, after(takes, answer)).await;
        (answer, began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_hangs_is_waited_for_once_and_again_when_it_answers() {
        let overdue = Arc::new(Overdue::default());
        overdue.keep();
        let refused = || Err("no answer".to_owned());
        let (first, took) = timed(&overdue, 10, refused()).await;
        assert_eq!((first.unwrap_err().as_str(), took), ("the runtime 'slow' gave no answer in time", 2));
        // The question goes on, and then there is a pause; nobody waits for either.
        for _ in 0..2 {
            let (next, took) = timed(&overdue, 0, Ok(1)).await;
            assert!(next.unwrap_err().contains("has given no answer for"), "it is not asked");
            assert_eq!(took, 0);
            tokio::time::sleep(Duration::from_secs(9)).await;
        }
        // Asked again by itself: who comes meanwhile is answered at once, who comes later is waited for.
        assert_eq!(timed(&overdue, 1, Ok(1)).await.1, 0);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(timed(&overdue, 1, Ok(7)).await, (Ok(7), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_refuses_at_once_is_not_overdue() {
        let overdue = Arc::new(Overdue::default());
        overdue.keep();
        for _ in 0..2 {
            assert_eq!(
                timed(&overdue, 1, Err("it is down".to_owned())).await,
                (Err("it is down".to_owned()), 1)
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_late_ends_the_delay() {
        let overdue = Arc::new(Overdue::default());
        overdue.keep();
        assert!(timed(&overdue, 3, Ok(1)).await.0.is_err());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(timed(&overdue, 1, Ok(2)).await, (Ok(2), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_acts_on_answers_asks_a_place_that_is_overdue_all_the_same() {
        let overdue = Arc::new(Overdue::default());
        overdue.keep();
        assert!(timed(&overdue, 30, Ok(1)).await.0.is_err());
        let acts = Patience { deadline: Duration::from_secs(11), is_shown: false };
        assert_eq!(overdue.ask(&place(), acts, after(4, Ok(3))).await, Ok(3));
        assert_eq!(timed(&overdue, 1, Ok(2)).await, (Ok(2), 1));
    }
}
