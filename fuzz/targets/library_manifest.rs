//! What must hold: `wharf_runtimes::fuzzing::library_manifest`. See `fuzz/README.md`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| wharf_runtimes::fuzzing::library_manifest(input));
