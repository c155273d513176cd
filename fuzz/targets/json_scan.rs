//! What must hold: `wharf_proxy::fuzzing::json_scan`. See `fuzz/README.md`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| wharf_proxy::fuzzing::json_scan(input));
