//! What must hold: `wharf::commands::import::toolhive::fuzzing::toolhive_file`. See `fuzz/README.md`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| wharf::commands::import::toolhive::fuzzing::toolhive_file(input));
