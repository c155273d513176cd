//! Fuzz targets of this package: the files of a state directory. Called by `fuzz/` and by the tests below.
use crate::file::document::{Document, decode, decode_to_show, encode, rewrite};
use std::path::PathBuf;
use wharf_model::{RunConfig, StatusRecord, WorkloadName};

/// A RunConfig is read or refused; one that was read keeps its meaning when it is written anew and when it is rewritten.
///
/// # Panics
/// If it does not.
pub fn run_config(input: &[u8]) {
    record::<RunConfig>(input);
}

/// The same for a status record.
///
/// # Panics
/// If it changes.
pub fn status_record(input: &[u8]) {
    record::<StatusRecord>(input);
}

fn record<D: Document>(input: &[u8]) {
    let name: WorkloadName = "name".parse().expect("a name");
    let read = |bytes: &[u8]| decode::<D>(PathBuf::new, &name, bytes);
    let _ = decode_to_show::<D>(PathBuf::new, &name, input);
    let Ok(document) = read(input) else { return };
    let written = encode(&document).expect("what was read can be written");
    let again = read(&written).expect("what was written can be read");
    assert_eq!(encode(&again).expect("it can be written again"), written);
    if let Ok(rewritten) = rewrite(&name, input, &document, &document) {
        let same = read(&rewritten).expect("what was rewritten can be read");
        assert_eq!(encode(&same).expect("it can be written again"), written);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn run_configs_stand_their_corpus() {
        wharf_fuzz_replay::replay("run_config", super::run_config);
    }

    #[test]
    fn status_records_stand_their_corpus() {
        wharf_fuzz_replay::replay("status_record", super::status_record);
    }
}
