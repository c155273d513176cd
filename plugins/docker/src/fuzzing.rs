//! Fuzz targets of this plugin: references of images, and answers of an engine. Called by `fuzz/` and by the tests below.
use crate::observe::{Inspection, Summary, of_inspection, of_summary};
use crate::reference::Reference;

/// A reference is read or refused; with its tag it is a reference with the same registry.
///
/// # Panics
/// If it is not.
pub fn image_reference(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(reference) = Reference::parse(text) else { return };
    assert!(
        !text.starts_with('-') && !text.contains(char::is_whitespace),
        "an engine may take it for something else"
    );
    let tagged = reference.with_tag();
    let again = Reference::parse(&tagged).expect("a reference with its tag is a reference");
    assert_eq!((again.registry, again.with_tag()), (reference.registry, tagged.clone()));
}

/// Labels and states in a listing or an inspection are read or refused.
///
/// # Panics
/// If the reader panics.
pub fn engine_labels(input: &[u8]) {
    if let Ok(listed) = serde_json::from_slice::<Vec<Summary>>(input) {
        listed.into_iter().for_each(|one| drop(of_summary(one)));
    }
    if let Ok(inspected) = serde_json::from_slice::<Inspection>(input) {
        drop(of_inspection(inspected));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn references_stand_their_corpus() {
        wharf_fuzz_replay::replay("image_reference", super::image_reference);
    }

    #[test]
    fn an_engines_labels_stand_their_corpus() {
        wharf_fuzz_replay::replay("engine_labels", super::engine_labels);
    }
}
