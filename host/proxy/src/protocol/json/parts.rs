//! The result of a scan: the compacted text, and where its members lie.
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

/// The object that a noted member belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The message itself.
    Top,
    /// Its `params`.
    Params,
    /// `params._meta`.
    Meta,
}

/// A member: the places of its key (with its quotes) and of its value in the compacted text.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) level: Level,
    pub(crate) key: Range<usize>,
    pub(crate) value: Range<usize>,
    pub(super) escaped: bool,
}

/// The members and elements of a text that are noted: each costs more memory than a short one has bytes.
pub(super) const MOST_NOTED: usize = 10_000;

/// The reason why a text is no JSON that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    /// Bytes that are no UTF-8.
    #[error("not UTF-8")]
    Encoding,
    /// Violates the grammar.
    #[error("not JSON")]
    Syntax,
    /// Nested deeper than the limit.
    #[error("nested too deep")]
    Depth,
    /// More members or elements at the levels that are noted than [`MOST_NOTED`].
    #[error("too many members")]
    Members,
}

/// A compacted text, and the places of its members.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scan {
    /// The compacted text; if the input was compact already, a part of it. After an error, the text up to there.
    pub(crate) text: Bytes,
    /// Noted members, in order of appearance.
    pub(crate) members: Vec<Member>,
    /// The places of the elements, when the text is an array.
    pub(crate) elements: Vec<Range<usize>>,
}

impl Scan {
    /// A member's key without quotes, escapes undone.
    fn key<'a>(&'a self, member: &Member) -> Cow<'a, [u8]> {
        let quoted = &self.text[member.key.clone()];
        if member.escaped
            && let Ok(decoded) = serde_json::from_slice::<String>(quoted)
        {
            return Cow::Owned(decoded.into_bytes());
        }
        Cow::Borrowed(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default())
    }

    /// A member's key as text.
    pub(crate) fn name(&self, member: &Member) -> String {
        String::from_utf8_lossy(&self.key(member)).into_owned()
    }

    /// True if a member has that name.
    pub(crate) fn is_named(&self, member: &Member, name: &str) -> bool {
        self.key(member).as_ref() == name.as_bytes()
    }

    /// The first member of that name.
    pub(crate) fn member(&self, level: Level, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.level == level && self.is_named(member, name))
    }

    /// The first such member's value, compacted.
    pub(crate) fn value(&self, level: Level, name: &str) -> Option<&[u8]> {
        self.member(level, name).map(|member| &self.text[member.value.clone()])
    }

    /// True if a noted object holds a name twice: two readers would see two different messages.
    pub(crate) fn has_duplicate_keys(&self) -> bool {
        [Level::Top, Level::Params, Level::Meta].into_iter().any(|level| {
            let of_level = || self.members.iter().filter(move |member| member.level == level);
            let count = of_level().count();
            if count <= 16 {
                return of_level()
                    .enumerate()
                    .any(|(at, one)| of_level().take(at).any(|other| self.key(one) == self.key(other)));
            }
            of_level().map(|member| self.key(member)).collect::<HashSet<_>>().len() < count
        })
    }
}
