//! Suggests a known name in place of one that does not exist. The catalog of plugins and commands use it in errors.

/// How alike two names must be for one to be proposed (0 to 1).
const ALIKE: f64 = 0.8;

/// The known name that is most like this one, if any is like it at all.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |other: &str| strsim::jaro_winkler(name, other);
    known.into_iter().filter(|other| alike(other) >= ALIKE).max_by(|a, b| alike(a).total_cmp(&alike(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_name_is_proposed_and_no_dissimilar_one() {
        assert_eq!(nearest("proces", ["docker", "process", "processes"]), Some("process"));
        assert_eq!(nearest("x", ["docker", "process"]), None);
    }
}
