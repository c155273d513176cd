//! The names of objects. They are for people; no code finds an object by its name alone.
use wharf_sdk::WorkloadSpec;

/// The number of the uid's digits in a name; the labels have all of them.
const UID_PART: usize = 8;
/// The length of the workload's name in it. The whole must have 52 characters at most: the cluster adds eleven for the
/// label of a pod's revision, and a label has 63.
const NAME_PART: usize = 36;
/// The longest name that is accepted in a handle: that of a DNS label.
const MAX_LEN: usize = 63;

/// The name of all objects of a workload. It begins with a letter, since the name of a Service may not begin with a digit.
pub(crate) fn of(spec: &WorkloadSpec) -> String {
    let uid = spec.uid.get(..UID_PART).unwrap_or(&spec.uid);
    let name = spec.name.get(..NAME_PART).unwrap_or(&spec.name).trim_end_matches('-');
    let prefix = if name.starts_with(|c: char| c.is_ascii_digit()) { "w-" } else { "" };
    format!("{prefix}{name}-{uid}")
}

/// The name for the next attempt, where another object has the usual one.
pub(crate) fn another(spec: &WorkloadSpec, attempt: usize) -> String {
    format!("{}-{attempt}", of(spec))
}

/// True if the text is a DNS label, as the names of objects are.
pub(crate) fn is_name(text: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty()
        && text.len() <= MAX_LEN
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::spec;

    #[test]
    fn names_are_short_labels_that_begin_with_a_letter() {
        for name in ["time", "3rd-server", &"a".repeat(52), &format!("{}-b", "a".repeat(35))] {
            let spec = spec(serde_json::json!({ "name": name }));
            for made in [of(&spec), another(&spec, 9)] {
                assert!(is_name(&made) && made.len() <= 52, "{made}");
                assert!(made.starts_with(|c: char| c.is_ascii_lowercase()), "{made}");
            }
        }
    }
}
