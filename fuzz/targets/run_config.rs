//! What must hold: `wharf_records::fuzzing::run_config`. See `fuzz/README.md`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| wharf_records::fuzzing::run_config(input));
