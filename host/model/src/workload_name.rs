//! [`WorkloadName`]: the user's name of a workload, and the stem of its files.
//!
//! The grammar `[a-z0-9][a-z0-9-]{0,51}` keeps a name usable as a file name, a container name, a Kubernetes label and a
//! part of a URL. It has no dot and no slash, so no name can leave its folder, and no name can be mistaken for a temporary
//! file (`.NAME.tmp-…`) or for one that was set aside (`NAME.json.corrupt-N`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name. A runtime names its resource after the workload and a part of the uid, and a DNS label holds 63
/// characters.
pub const NAME_LENGTH_MAX: usize = 52;

/// The name of a workload: one to 52 lowercase letters, digits and dashes, not beginning with a dash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct WorkloadName(String);

/// Why a text is not a [`WorkloadName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no characters.
    #[error("a workload name cannot be empty")]
    Empty,
    /// More characters than fit.
    #[error("a workload name has at most {limit} characters, this one has {length}")]
    TooLong {
        /// The number of characters it has.
        length: usize,
        /// The number that it may have.
        limit: usize,
    },
    /// A dash in front, which a command line would take for an option.
    #[error("a workload name begins with a letter or a digit, not with a dash")]
    LeadingDash,
    /// A character outside `a-z`, `0-9` and `-`.
    #[error(
        "a workload name has only lowercase letters, digits and dashes, not {character:?} (character {position})"
    )]
    BadCharacter {
        /// The first character that is not allowed.
        character: char,
        /// Its place, counted from one.
        position: usize,
    },
}

impl WorkloadName {
    /// Checks a text.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let length = text.chars().count();
        if length == 0 {
            return Err(NameError::Empty);
        }
        let fits = |character: &char| matches!(character, 'a'..='z' | '0'..='9' | '-');
        if let Some((index, character)) = text.chars().enumerate().find(|(_, character)| !fits(character)) {
            return Err(NameError::BadCharacter { character, position: index + 1 });
        }
        if text.starts_with('-') {
            return Err(NameError::LeadingDash);
        }
        if length > NAME_LENGTH_MAX {
            return Err(NameError::TooLong { length, limit: NAME_LENGTH_MAX });
        }
        Ok(Self(text))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl AsRef<str> for WorkloadName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkloadName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for WorkloadName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<WorkloadName> for String {
    fn from(name: WorkloadName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_grammar_are_accepted() {
        for text in ["a", "7", "ab", "a1", "0-", "time", "mcp-server-time", &"x".repeat(NAME_LENGTH_MAX)] {
            assert_eq!(WorkloadName::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn each_fault_of_a_workload_name_is_named() {
        let bad = |character, position| NameError::BadCharacter { character, position };
        let cases = [
            ("", NameError::Empty),
            (&"x".repeat(60), NameError::TooLong { length: 60, limit: 52 }),
            ("-ab", NameError::LeadingDash),
            ("../etc", bad('.', 1)),
            ("a/b", bad('/', 2)),
            ("aB", bad('B', 2)),
            ("a\0", bad('\0', 2)),
            ("ab\u{e9}", bad('\u{e9}', 3)),
            (".ab.tmp-1", bad('.', 1)),
        ];
        for (text, fault) in cases {
            assert_eq!(WorkloadName::new(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn the_message_escapes_what_a_terminal_would_obey() {
        let message = WorkloadName::new("a\u{1b}[31m").unwrap_err().to_string();
        assert!(!message.contains('\u{1b}') && message.contains("character 2"), "{message}");
    }

    #[test]
    fn a_bad_name_in_a_file_is_an_error() {
        assert!(serde_json::from_str::<WorkloadName>("\"../x\"").is_err());
    }
}
