//! Random ids: [`Uid`] for one creation of a workload, [`HostId`] for one state directory.
//!
//! Names are reused (`rm foo; run foo`), ids are not. So code that must recognise a workload compares uids, never names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::workload_name::WorkloadName;

const BYTES: usize = 16;
/// Goes into the digest, so that a uid that is derived from a name differs from a digest that is made for another purpose.
const LEGACY_DOMAIN: &[u8] = b"wharf: uid of a workload whose RunConfig has none\0";

/// The reason why there is no id.
#[derive(Debug, thiserror::Error)]
pub enum IdError {
    /// The system gave no random bytes.
    #[error("no random bytes from the system")]
    NoRandomness {
        /// The system's error.
        source: getrandom::Error,
    },
    /// The text is not 32 lowercase hexadecimal digits.
    #[error("an id has {expected} lowercase hexadecimal digits, this text of {length} characters is none", expected = 2 * BYTES)]
    Malformed {
        /// The length of the text.
        length: usize,
    },
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new id: 128 random bits.
            pub fn random() -> Result<Self, IdError> {
                random_hex().map(Self)
            }

            /// The id as text: 32 lowercase hexadecimal digits.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                checked_hex(text.to_owned()).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                checked_hex(text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

random_id! {
    /// One creation of a workload. It is in the RunConfig, the status record, the handle and the labels of what
    /// the runtime makes.
    Uid
}

random_id! {
    /// One state directory, made once. Two hosts that share one engine tell their resources apart by it.
    HostId
}

impl Uid {
    /// The uid of a workload whose RunConfig has none (R07). It is computed from the name, so that reading need not write
    /// one down. A random uid does not collide with it, and neither does that of another host with the same name: resources
    /// are matched by host id too.
    pub fn of_legacy(name: &WorkloadName) -> Self {
        let digest = Sha256::new().chain_update(LEGACY_DOMAIN).chain_update(name.as_str()).finalize();
        Self(digest.iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// 128 random bits in hexadecimal.
pub fn random_hex() -> Result<String, IdError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|source| IdError::NoRandomness { source })?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn checked_hex(text: String) -> Result<String, IdError> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() == 2 * BYTES && is_hex {
        Ok(text)
    } else {
        Err(IdError::Malformed { length: text.chars().count() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn random_ids_differ_and_read_back() {
        let ids: HashSet<Uid> = (0..1000).map(|_| Uid::random().unwrap()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            assert_eq!(id.as_str().parse::<Uid>().unwrap(), id);
        }
    }

    #[test]
    fn texts_that_are_no_uid_are_refused() {
        for text in ["", "abc", &"g".repeat(32), &"A".repeat(32), &"a".repeat(33), &"a".repeat(31)] {
            assert!(matches!(text.parse::<HostId>(), Err(IdError::Malformed { .. })), "{text:?}");
        }
    }
}
