//! What must hold: `wharf_records::fuzzing::status_record`. See `fuzz/README.md`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| wharf_records::fuzzing::status_record(input));
