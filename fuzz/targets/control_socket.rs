//! What must hold: `wharf_supervisor::fuzzing::control_socket`. See `fuzz/README.md`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| wharf_supervisor::fuzzing::control_socket(input));
