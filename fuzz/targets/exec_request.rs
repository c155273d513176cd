//! What must hold: `wharf_launcher::fuzzing::exec_request`. See `fuzz/README.md`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| wharf_launcher::fuzzing::exec_request(input));
