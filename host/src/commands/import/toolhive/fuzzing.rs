//! Fuzz target of this module: ToolHive's files. Called by `fuzz/` and by the test below.
use super::{candidates, folder, translate};
use wharf_model::Uid;

/// A file is read or refused; one that was read is translated to a valid RunConfig or refused.
///
/// # Panics
/// If it is neither.
pub fn toolhive_file(input: &[u8]) {
    let Ok(file) = folder::parse("name", input) else { return };
    let _ = candidates(file.fields.base_name.as_deref().unwrap_or("name"));
    let _ = translate(&file, "name".parse().expect("a name"), Uid::random().expect("randomness"));
}

#[cfg(test)]
mod tests {
    #[test]
    fn toolhives_files_stand_their_corpus() {
        wharf_fuzz_replay::replay("toolhive_file", super::toolhive_file);
    }
}
