//! The subscriptions of all sessions to resources: a shared server has one set, its clients have many. Only the first
//! subscription to a resource and the end of the last one reach the server.
use std::collections::{HashMap, HashSet};

use crate::stdio::session::SessionId;

#[derive(Debug, Default)]
struct Subscription {
    sessions: HashSet<SessionId>,
    /// Requests at the server that would make it subscribed.
    asking: usize,
    /// The server has accepted one.
    confirmed: bool,
}

/// Subscriptions of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_uri: HashMap<String, Subscription>,
}

impl Subscriptions {
    /// Joins an existing subscription; `false` means that the server has to be asked ([`Self::asked`]).
    pub(crate) fn join(&mut self, uri: &str, session: &SessionId) -> bool {
        match self.by_uri.get_mut(uri) {
            Some(subscription) if subscription.confirmed => {
                subscription.sessions.insert(session.clone());
                true
            }
            _ => false,
        }
    }

    /// The server is being asked.
    pub(crate) fn asked(&mut self, uri: &str) {
        self.by_uri.entry(uri.to_owned()).or_default().asking += 1;
    }

    /// The server accepted; `session` is `None` when it has ended meanwhile. `true`: nobody is left, unsubscribe.
    pub(crate) fn accepted(&mut self, uri: &str, session: Option<&SessionId>) -> bool {
        let Some(subscription) = self.by_uri.get_mut(uri) else { return session.is_none() };
        subscription.asking = subscription.asking.saturating_sub(1);
        subscription.confirmed = true;
        subscription.sessions.extend(session.cloned());
        self.forget_unused(uri)
    }

    /// The server refused, or the request was given up. True if nobody is left who has or wants the subscription.
    pub(crate) fn failed(&mut self, uri: Option<&str>) -> bool {
        let Some(uri) = uri else { return false };
        let Some(subscription) = self.by_uri.get_mut(uri) else { return false };
        subscription.asking = subscription.asking.saturating_sub(1);
        self.forget_unused(uri)
    }

    /// A session leaves. True if it was the last (or nobody was subscribed): then the server must be told so.
    pub(crate) fn leave(&mut self, uri: &str, session: &SessionId) -> bool {
        let Some(subscription) = self.by_uri.get_mut(uri) else { return true };
        subscription.sessions.remove(session);
        self.forget_unused(uri)
    }

    fn forget_unused(&mut self, uri: &str) -> bool {
        let unused = self.by_uri.get(uri).is_some_and(|known| known.sessions.is_empty() && known.asking == 0);
        if unused {
            self.by_uri.remove(uri);
        }
        unused
    }

    /// A new server process knows of nothing: what to subscribe to again.
    pub(crate) fn replayed(&mut self) -> Vec<String> {
        self.by_uri.retain(|_, subscription| {
            subscription.asking = 0;
            !subscription.sessions.is_empty()
        });
        self.by_uri.keys().cloned().collect()
    }

    /// Sessions subscribed to a resource or to one that it lies under (an update may name a sub-resource).
    pub(crate) fn subscribers(&self, updated: &str) -> HashSet<SessionId> {
        self.by_uri
            .iter()
            .filter(|(uri, _)| {
                updated.strip_prefix(uri.as_str()).is_some_and(|rest| {
                    rest.is_empty() || uri.ends_with('/') || rest.starts_with(['/', '?', '#'])
                })
            })
            .flat_map(|(_, subscription)| subscription.sessions.iter().cloned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Subscriptions;
    use crate::stdio::session::SessionId;

    #[test]
    fn only_the_first_subscribe_and_the_last_unsubscribe_reach_the_server() {
        let (one, other) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        let mut all = Subscriptions::default();
        assert!(!all.join("a", &one), "the server has to be asked");
        all.asked("a");
        assert!(!all.accepted("a", Some(&one)));
        assert!(all.join("a", &other), "the second joins");
        assert!(!all.leave("a", &one));
        assert!(all.leave("a", &other), "the last one is told to the server");
        assert!(!all.join("a", &one));
    }

    #[test]
    fn a_session_that_asks_keeps_the_subscription_of_one_that_leaves() {
        let (one, other) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        let mut all = Subscriptions::default();
        all.asked("a");
        all.asked("a");
        assert!(!all.accepted("a", Some(&one)));
        assert!(!all.leave("a", &one), "the other one's request is at the server");
        assert!(!all.accepted("a", Some(&other)));
        assert!(all.subscribers("a").contains(&other));
        all.asked("b");
        assert!(all.accepted("b", None), "its session ended: unsubscribe");
    }

    #[test]
    fn updates_reach_subscribers_of_the_resource_and_of_what_it_lies_under() {
        let session = SessionId::random().unwrap();
        let mut all = Subscriptions::default();
        all.asked("file:///a");
        all.accepted("file:///a", Some(&session));
        for (updated, reaches) in
            [("file:///a", true), ("file:///a/b", true), ("file:///ab", false), ("file:///", false)]
        {
            assert_eq!(all.subscribers(updated).len(), usize::from(reaches), "{updated}");
        }
    }
}
