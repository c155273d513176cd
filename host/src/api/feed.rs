//! [`Feed`]: what becomes of workloads, as numbered events, whoever changes them: this API, the command line, a crash.
//!
//! Called by the routes of events. It compares one list with the next, which is made when a record changes and every few
//! seconds besides. It works only while somebody listens, and a while longer, so that who reconnects misses nothing. Who
//! comes with a number that it does not have is told everything anew (`reset`): nothing is ever missed without a word.
use crate::commands::{self, Host, ListOptions, WorkloadView};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use wharf_model::{Error, ErrorKind, Result, random_hex};

/// So many events can be resumed from.
const KEPT_MAX: usize = 1024;
/// It goes on for so long when nobody listens any more.
const LINGER: Duration = Duration::from_secs(60);
/// A list that failed is tried again after this.
const RETRY: Duration = Duration::from_secs(2);

/// A change of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Happened {
    /// It is there.
    Created,
    /// It is shown otherwise than before.
    Changed,
    /// It is there no more; it is as it was last.
    Removed,
}

impl Happened {
    /// All kinds, for the document.
    pub(crate) const ALL: [Self; 3] = [Self::Created, Self::Changed, Self::Removed];

    /// The name of the event.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

/// An event.
#[derive(Clone, Debug)]
pub(crate) struct FeedEvent {
    number: u64,
    /// The kind of change.
    pub(crate) happened: Happened,
    /// To which workload.
    pub(crate) workload: Arc<WorkloadView>,
}

/// The next message for a listener.
pub(crate) enum Next {
    /// An event, and the id to resume after it.
    Event(FeedEvent, String),
    /// Everything as it is now: there is no knowing what was missed. And the id to go on from.
    Reset(Vec<Arc<WorkloadView>>, String),
}

/// All that is known to listeners.
pub(crate) struct Feed {
    host: Arc<Host>,
    ending: CancellationToken,
    inner: Mutex<Inner>,
    /// Counts the rounds that brought something new.
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    /// The id of this run of the watcher; none while there is none.
    epoch: Option<String>,
    /// There has been a list.
    is_known: bool,
    /// The number of the last event.
    last: u64,
    kept: VecDeque<FeedEvent>,
    rows: BTreeMap<String, Arc<WorkloadView>>,
    listeners: usize,
}

/// A listener, at its place in the events.
pub(crate) struct Listener {
    feed: Arc<Feed>,
    news: watch::Receiver<u64>,
    /// Told up to here; nothing yet if there is none.
    told: Option<(String, u64)>,
    name: Option<String>,
}

impl Feed {
    pub(crate) fn new(host: Arc<Host>, ending: CancellationToken) -> Arc<Self> {
        Arc::new(Self { host, ending, inner: Mutex::default(), news: watch::Sender::new(0) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens from now on, or from after the event with this id; to all workloads, or to the one of this name.
    ///
    /// # Errors
    /// No random id can be made.
    pub(crate) fn listen(self: &Arc<Self>, last_id: Option<&str>, name: Option<String>) -> Result<Listener> {
        let news = self.news.subscribe();
        let told = last_id.and_then(|id| {
            let (epoch, number) = id.rsplit_once('-')?;
            Some((epoch.to_owned(), number.parse().ok()?))
        });
        let mut inner = self.inner();
        if inner.epoch.is_none() {
            let epoch = random_hex()
                .map_err(|error| Error::caused(ErrorKind::Failed, "no random id can be made", &error))?;
            *inner = Inner { epoch: Some(epoch), listeners: inner.listeners, ..Inner::default() };
            tokio::spawn(watch_workloads(self.clone()));
        }
        inner.listeners += 1;
        drop(inner);
        Ok(Listener { feed: self.clone(), news, told, name })
    }

    /// Takes a list for what there is now.
    fn take(&self, rows: Vec<WorkloadView>) {
        let mut inner = self.inner();
        let mut before = std::mem::take(&mut inner.rows);
        let is_first = !inner.is_known;
        for row in rows {
            let row = Arc::new(row);
            let name = row.name.clone();
            let happened = match before.remove(&name) {
                Some(old) if *old == *row => None,
                // Another workload of the same name.
                // A workload whose RunConfig cannot be read just now has no uid, which is no evidence of another one.
                Some(old) if old.uid != row.uid && !old.uid.is_empty() && !row.uid.is_empty() => {
                    inner.push(Happened::Removed, old);
                    Some(Happened::Created)
                }
                Some(_) => Some(Happened::Changed),
                None => Some(Happened::Created),
            };
            if let (Some(happened), false) = (happened, is_first) {
                inner.push(happened, row.clone());
            }
            inner.rows.insert(name, row);
        }
        for old in before.into_values() {
            inner.push(Happened::Removed, old);
        }
        inner.is_known = true;
        drop(inner);
        self.news.send_modify(|round| *round = round.wrapping_add(1));
    }

    /// True if nobody listens; then this run is over, and nobody resumes from it.
    fn ends(&self) -> bool {
        let mut inner = self.inner();
        if inner.listeners > 0 {
            return false;
        }
        *inner = Inner::default();
        true
    }
}

impl Inner {
    fn push(&mut self, happened: Happened, workload: Arc<WorkloadView>) {
        self.last += 1;
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(FeedEvent { number: self.last, happened, workload });
    }

    /// The message after this place; none if there is none yet. The place moves on, past what does not concern this
    /// workload.
    fn after(&self, told: &mut Option<(String, u64)>, name: Option<&str>) -> Option<Next> {
        let epoch = self.epoch.as_ref().filter(|_| self.is_known)?;
        let concerns = |workload: &WorkloadView| name.is_none_or(|name| name == workload.name);
        let first = self.kept.front().map_or(self.last + 1, |first| first.number);
        let is_known =
            |(of, number): &&(String, u64)| of == epoch && *number <= self.last && *number + 1 >= first;
        let number = told.as_ref().filter(is_known).map(|(_, number)| *number);
        let Some(number) = number else {
            *told = Some((epoch.clone(), self.last));
            let rows = self.rows.values().filter(|row| concerns(row)).cloned().collect();
            return Some(Next::Reset(rows, format!("{epoch}-{}", self.last)));
        };
        let mut later = self.kept.iter().filter(|event| event.number > number);
        let next = later.find(|event| concerns(&event.workload));
        *told = Some((epoch.clone(), next.map_or(self.last, |next| next.number)));
        let next = next?;
        Some(Next::Event(next.clone(), format!("{epoch}-{}", next.number)))
    }
}

impl Listener {
    /// The next message; none once the server ends.
    pub(crate) async fn next(&mut self) -> Option<Next> {
        loop {
            // Before the look: what comes meanwhile is seen in the next round.
            self.news.borrow_and_update();
            let next = self.feed.inner().after(&mut self.told, self.name.as_deref());
            if next.is_some() {
                return next;
            }
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                () = self.feed.ending.cancelled() => return None,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.feed.inner().listeners -= 1;
    }
}

/// Lists again and again, as long as somebody listens.
async fn watch_workloads(feed: Arc<Feed>) {
    loop {
        tokio::select! {
            () = feed.ending.cancelled() => return,
            () = unheard(&feed) => return,
            error = failed_watch(&feed) => {
                tracing::warn!(%error, "the workloads cannot be watched just now");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Takes list after list, until there is none any more: why.
async fn failed_watch(feed: &Feed) -> Error {
    match lists(feed).await {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

async fn lists(feed: &Feed) -> Result<Infallible> {
    let context = feed.host.context()?;
    let mut watched = commands::watch(&context, ListOptions { all: true, ..ListOptions::default() })?;
    loop {
        feed.take(watched.next().await?);
    }
}

/// Resolves when nobody has listened for a while; from then on nobody can go on from there.
async fn unheard(feed: &Feed) {
    loop {
        tokio::time::sleep(LINGER).await;
        let was_heard = feed.inner().listeners > 0;
        if was_heard {
            continue;
        }
        tokio::time::sleep(LINGER).await;
        if feed.ends() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::{Effective, EffectiveState, RunConfig, Uid, WorkloadName};

    fn row(name: &str, state: EffectiveState) -> WorkloadView {
        let run = RunConfig::new(Uid::random().unwrap(), WorkloadName::new(name).unwrap(), "x");
        WorkloadView {
            uid: format!("uid of {name}"),
            created_at: None,
            ..WorkloadView::of(&run, None, Effective::fresh(state, ""))
        }
    }

    fn known(feed: &Feed) {
        feed.inner().epoch = Some("e".to_owned());
    }

    fn feed() -> Arc<Feed> {
        let host = Host::new(|| Err(Error::new(ErrorKind::Failed, "none")));
        let feed = Feed::new(host, CancellationToken::new());
        known(&feed);
        feed
    }

    async fn told(listener: &mut Listener) -> (String, String) {
        match listener.next().await.unwrap() {
            Next::Event(event, id) => (format!("{} {}", event.happened.as_str(), event.workload.name), id),
            Next::Reset(rows, id) => (format!("reset {}", rows.len()), id),
        }
    }

    #[tokio::test]
    async fn a_listener_is_told_everything_once_and_goes_on_where_it_was() {
        use EffectiveState::{Running, Stopped};
        let feed = feed();
        feed.take(vec![row("one", Running)]);
        let mut listener = feed.listen(None, None).unwrap();
        assert_eq!(told(&mut listener).await, ("reset 1".to_owned(), "e-0".to_owned()));
        feed.take(vec![row("one", Stopped), row("two", Running)]);
        assert_eq!(told(&mut listener).await.0, "changed one");
        drop(listener);
        feed.take(vec![row("two", Running)]);
        let mut again = feed.listen(Some("e-1"), None).unwrap();
        assert_eq!(told(&mut again).await.0, "created two");
        assert_eq!(told(&mut again).await, ("removed one".to_owned(), "e-3".to_owned()));
        let mut other = feed.listen(Some("e-0"), Some("two".to_owned())).unwrap();
        assert_eq!(told(&mut other).await.0, "created two");
        for unknown in ["f-1", "e-9", "nonsense", "e-x", "e-18446744073709551615"] {
            let mut listener = feed.listen(Some(unknown), None).unwrap();
            assert_eq!(told(&mut listener).await.0, "reset 1", "{unknown}");
        }
    }

    #[tokio::test]
    async fn a_workload_whose_record_cannot_be_read_for_a_moment_was_not_removed() {
        use EffectiveState::Running;
        let feed = feed();
        feed.take(vec![row("one", Running)]);
        let mut listener = feed.listen(Some("e-0"), None).unwrap();
        feed.take(vec![WorkloadView::unreadable("one", "no".to_owned())]);
        assert_eq!(told(&mut listener).await.0, "changed one");
        feed.take(vec![row("one", Running)]);
        assert_eq!(told(&mut listener).await.0, "changed one");
        feed.take(vec![WorkloadView { uid: "another".to_owned(), ..row("one", Running) }]);
        assert_eq!(told(&mut listener).await.0, "removed one");
        assert_eq!(told(&mut listener).await.0, "created one");
    }

    #[tokio::test]
    async fn a_listener_that_missed_too_much_is_reset() {
        let feed = feed();
        feed.take(Vec::new());
        for _ in 0..KEPT_MAX {
            feed.take(vec![row("one", EffectiveState::Running)]);
            feed.take(Vec::new());
        }
        let of = |id: &str| feed.listen(Some(id), None).unwrap();
        assert_eq!(told(&mut of("e-0")).await.0, "reset 0");
        let oldest = format!("e-{KEPT_MAX}");
        assert_eq!(told(&mut of(&oldest)).await.0, "created one");
        assert!(feed.inner().kept.len() == KEPT_MAX);
    }

    #[tokio::test]
    async fn the_end_of_serve_ends_its_event_streams() {
        let feed = feed();
        feed.take(Vec::new());
        let mut listener = feed.listen(None, None).unwrap();
        assert_eq!(told(&mut listener).await.0, "reset 0");
        feed.ending.cancel();
        assert!(listener.next().await.is_none());
    }
}
