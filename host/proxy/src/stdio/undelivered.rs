//! Counts the messages that a client would have received from the server directly and does not receive through the proxy,
//! by reason (`docs/mcp.md`, 12.8).
//!
//! `wharf status` shows the counts, and the log has one line a minute: a server may send a million such messages, whose
//! lines would push all others out of the log.
use std::fmt::Write as _;

use tokio::time::{Duration, Instant};

/// The time between two lines of the log.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The reason why a message of the server reaches no client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A log message, while the server may be at work for several sessions.
    LogAmbiguous,
    /// A log message for a session that has ended or has no stream to send it on.
    LogUnread,
    /// A log message for a client that does not keep up.
    LogBurst,
    /// A log message below `info`, for a client that set no level.
    LogLevel,
    /// Progress for a client that does not keep up.
    ProgressBurst,
    /// A request, while the server may be at work for several sessions.
    RequestAmbiguous,
    /// A request for a client that has gone, or while no client can be asked.
    RequestUnread,
    /// A request for the roots of clients that share a server.
    RequestRoots,
    /// The server gave up a request of its own, of which its client cannot be told.
    CancellationUnread,
    /// The change of a resource that no client has subscribed to.
    ResourceUnsubscribed,
    /// The end of an elicitation by URL, for a client that is not known, has gone or has no stream to send it on.
    ElicitationUnread,
    /// A notification that the proxy does not know, while there are several sessions, or none.
    Unknown,
    /// An answer that cannot be used: too long, nested too deep, no JSON-RPC.
    AnswerMalformed,
    /// An answer for which there was no memory.
    AnswerMemory,
    /// Another message for which there was no memory.
    OtherMemory,
}

/// The words of [`Reason::RequestAmbiguous`]: kind and reason.
pub const REQUEST_AMBIGUOUS: (&str, &str) = ("request of the server", "several clients were at work");

impl Reason {
    /// How many there are. `OtherMemory` is the last one.
    const COUNT: usize = Self::OtherMemory as usize + 1;
    /// All of them, in the order in which they are shown.
    const ALL: [Self; Self::COUNT] = [
        Self::LogAmbiguous,
        Self::LogUnread,
        Self::LogBurst,
        Self::LogLevel,
        Self::ProgressBurst,
        Self::RequestAmbiguous,
        Self::RequestUnread,
        Self::RequestRoots,
        Self::CancellationUnread,
        Self::ResourceUnsubscribed,
        Self::ElicitationUnread,
        Self::Unknown,
        Self::AnswerMalformed,
        Self::AnswerMemory,
        Self::OtherMemory,
    ];

    /// The kind of message and the reason, in words.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::LogAmbiguous => ("log message", "several clients were at work"),
            Self::LogUnread => ("log message", "its client has gone or has no stream open"),
            Self::LogBurst => ("log message", "its client does not keep up"),
            Self::LogLevel => ("log message", "below info, and its client set no level"),
            Self::ProgressBurst => ("progress", "its client does not keep up"),
            Self::RequestAmbiguous => REQUEST_AMBIGUOUS,
            Self::RequestUnread => ("request of the server", "no client could be asked"),
            Self::RequestRoots => {
                ("request of the server", "clients that share a server are not asked for their roots")
            }
            Self::CancellationUnread => ("cancellation", "its client has gone or has no stream open"),
            Self::ResourceUnsubscribed => ("change of a resource", "no client has subscribed to it"),
            Self::ElicitationUnread => {
                ("end of an elicitation", "its client is not known, has gone, or has no stream open")
            }
            Self::Unknown => ("unknown notification", "it is not certain whom it concerns"),
            Self::AnswerMalformed => ("answer", "too long, nested too deep, or no JSON-RPC"),
            Self::AnswerMemory => ("answer", "no memory was left for it"),
            Self::OtherMemory => ("message", "no memory was left for it"),
        }
    }
}

/// The number of messages of one kind that reached no client, for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undelivered {
    /// The kind of message: `log message`, `answer`, …
    pub what: &'static str,
    /// The reason, in words.
    pub why: &'static str,
    /// The number since the proxy was started.
    pub count: u64,
}

/// The counts of one proxy.
#[derive(Debug, Clone, Default)]
pub(crate) struct UndeliveredCounts {
    counts: [u64; Reason::COUNT],
    /// The counts in the last line of the log.
    logged: [u64; Reason::COUNT],
    logged_at: Option<Instant>,
}

impl UndeliveredCounts {
    /// Counts one message.
    pub(crate) fn note(&mut self, reason: Reason) {
        self.counts[reason as usize] += 1;
    }

    /// True if a message was counted for this reason.
    pub(crate) fn has(&self, reason: Reason) -> bool {
        self.counts[reason as usize] > 0
    }

    /// Counts several messages.
    pub(crate) fn note_many(&mut self, reason: Reason, count: u64) {
        self.counts[reason as usize] += count;
    }

    /// Adds the counts of another proxy.
    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }

    /// Every count that is not zero.
    pub(crate) fn all(&self) -> Vec<Undelivered> {
        named(&self.counts)
    }

    /// True if the log does not have all counts yet.
    pub(crate) fn is_untold(&self) -> bool {
        self.counts != self.logged
    }

    /// The next line for the log, if it is due and has something new.
    pub(crate) fn due(&mut self, now: Instant) -> Option<String> {
        if !self.is_untold() || self.logged_at.is_some_and(|at| now < at + LOG_INTERVAL) {
            return None;
        }
        let mut new = self.counts;
        for (new, old) in new.iter_mut().zip(self.logged) {
            *new -= old;
        }
        (self.logged, self.logged_at) = (self.counts, Some(now));
        let mut line = String::new();
        for Undelivered { what, why, count } in named(&new) {
            let separator = if line.is_empty() { "" } else { "; " };
            let _ = write!(line, "{separator}{count} x {what} ({why})");
        }
        Some(line)
    }
}

fn named(counts: &[u64; Reason::COUNT]) -> Vec<Undelivered> {
    let counted = Reason::ALL.into_iter().map(|reason| (reason.words(), counts[reason as usize]));
    let some = counted.filter(|(_, count)| *count > 0);
    some.map(|((what, why), count)| Undelivered { what, why, count }).collect()
}

#[cfg(test)]
mod tests {
    use super::{LOG_INTERVAL, Reason, UndeliveredCounts};
    use tokio::time::Instant;

    #[test]
    fn every_reason_has_a_count_of_its_own() {
        let mut counts = UndeliveredCounts::default();
        for (at, reason) in (1..).zip(Reason::ALL) {
            assert!(!counts.has(reason), "{reason:?} is listed twice");
            counts.note_many(reason, at);
        }
        let told = counts.all();
        assert_eq!(told.len(), Reason::COUNT);
        for ((at, reason), one) in (1..).zip(Reason::ALL).zip(told) {
            assert_eq!(((one.what, one.why), one.count), (reason.words(), at), "{reason:?}");
        }
    }

    #[test]
    fn the_log_is_told_once_a_minute_and_of_what_is_new() {
        let mut counts = UndeliveredCounts::default();
        let start = Instant::now();
        assert_eq!(counts.due(start), None);
        for _ in 0..1_000_000 {
            counts.note(Reason::LogAmbiguous);
        }
        counts.note(Reason::AnswerMemory);
        let line = counts.due(start).unwrap();
        let expected =
            "1000000 x log message (several clients were at work); 1 x answer (no memory was left for it)";
        assert_eq!(line, expected);
        counts.note(Reason::LogAmbiguous);
        assert_eq!(counts.due(start + LOG_INTERVAL / 2), None);
        assert!(counts.is_untold());
        let line = counts.due(start + LOG_INTERVAL).unwrap();
        assert_eq!(line, "1 x log message (several clients were at work)");
        assert_eq!(counts.due(start + LOG_INTERVAL * 2), None, "nothing new");
        assert_eq!(counts.all()[0].count, 1_000_001);
    }
}
