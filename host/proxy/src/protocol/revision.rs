//! The protocol revisions of MCP that this proxy serves, and which header values belong to the other era.

/// A session-based revision of MCP, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Revision {
    /// 2024-11-05.
    V2024_11_05,
    /// 2025-03-26, the only one with batches.
    V2025_03_26,
    /// 2025-06-18.
    V2025_06_18,
    /// 2025-11-25, whose SSE streams begin with an empty event.
    V2025_11_25,
}

impl Revision {
    /// Every revision served, oldest first.
    pub(crate) const ALL: [Self; 4] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25];
    /// The revision that wharf asks a server for.
    pub(crate) const NEWEST: Self = Self::V2025_11_25;

    /// The date that names the revision on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
        }
    }

    /// The revision of that name, if it is served.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == text)
    }

    /// True if a client may send a JSON array of messages.
    pub(crate) fn has_batches(self) -> bool {
        self == Self::V2025_03_26
    }

    /// True if a stream opens with an event of empty data (older clients take the first `data:` for the reply).
    pub(crate) fn primes_streams(self) -> bool {
        self >= Self::V2025_11_25
    }
}

/// True if a version names a stateless revision: 2026-07-28 or later. Dates sort as text.
pub(crate) fn is_modern(version: &str) -> bool {
    let dated = version.len() == 10
        && version.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    dated && version >= "2026-07-28"
}

#[cfg(test)]
mod tests {
    use super::{Revision, is_modern};

    #[test]
    fn names_round_trip_and_order_by_date() {
        for revision in Revision::ALL {
            assert_eq!(Revision::parse(revision.as_str()), Some(revision));
            assert!(!is_modern(revision.as_str()));
        }
        assert!(Revision::V2024_11_05 < Revision::NEWEST);
        assert_eq!(Revision::parse("2026-07-28"), None);
    }

    #[test]
    fn only_dates_from_the_stateless_revision_on_are_modern() {
        assert!(is_modern("2026-07-28") && is_modern("2027-01-01"));
        for other in ["v999", "2026-07-27", "9999", "2026-07-2x", ""] {
            assert!(!is_modern(other), "{other}");
        }
    }
}
