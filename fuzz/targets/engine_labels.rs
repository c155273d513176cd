//! What must hold: `wharf_plugin_docker::fuzzing::engine_labels`. See `fuzz/README.md`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| wharf_plugin_docker::fuzzing::engine_labels(input));
