//! What must hold: `wharf_launcher::fuzzing::launcher_control`. See `fuzz/README.md`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| wharf_launcher::fuzzing::launcher_control(input));
