//! [`Once`]: an object of JSON each of whose members is there once. Of a member that is there twice, two readers may take
//! different ones.
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The members of an object, each of which is there once.
pub(crate) struct Once(pub(crate) Map<String, Value>);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Once;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> std::result::Result<Once, A::Error> {
                use serde::de::Error as _;
                let mut members = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if members.insert(name.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("'{name}' is there twice")));
                    }
                }
                Ok(Once(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}
