//! What must hold: `wharf_proxy::fuzzing::mcp_message`. See `fuzz/README.md`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| wharf_proxy::fuzzing::mcp_message(input));
