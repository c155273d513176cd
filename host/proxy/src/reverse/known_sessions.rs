//! [`KnownSessions`]: the sessions that an HTTP server has opened, by what it said itself.
//!
//! Asked for whose a body is that is being read. A client may name any session: were that enough, each body of its could be
//! another one's, and none of them would count together.
use std::collections::{HashSet, VecDeque};

use crate::http::budget::Holder;

/// Sessions that are remembered. Bodies of an older one count as those of no session.
const MOST: usize = 4096;

/// The sessions that the server has named in its answers.
#[derive(Debug, Default)]
pub(crate) struct KnownSessions {
    all: HashSet<Holder>,
    /// Oldest first.
    order: VecDeque<Holder>,
}

impl KnownSessions {
    /// The server has named a session.
    pub(crate) fn note(&mut self, session: Holder) {
        if !self.all.insert(session) {
            return;
        }
        self.order.push_back(session);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }

    /// The holder of a body of which the sender says that it is this session's.
    pub(crate) fn holder(&self, named: Holder) -> Holder {
        if self.all.contains(&named) { named } else { Holder::NoSession }
    }
}

#[cfg(test)]
mod tests {
    use super::{KnownSessions, MOST};
    use crate::http::budget::Holder;

    #[test]
    fn the_newest_sessions_are_known_and_none_that_the_server_has_not_named() {
        let mut known = KnownSessions::default();
        let session = |number: usize| Holder::Session(number as u64);
        for number in 0..=MOST {
            known.note(session(number));
            known.note(session(number));
        }
        assert_eq!(known.holder(session(0)), Holder::NoSession, "the oldest one is out");
        assert_eq!(known.holder(session(1)), session(1));
        assert_eq!(known.holder(session(MOST)), session(MOST));
        assert_eq!(known.holder(session(MOST + 1)), Holder::NoSession);
        assert_eq!((known.all.len(), known.order.len()), (MOST, MOST));
    }
}
