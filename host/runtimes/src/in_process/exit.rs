//! The end of a process that has loaded plugins.
#![expect(unsafe_code, reason = "_exit has no safe form")]
use std::io::Write;

/// Ends the process without running destructors of loaded libraries, whose threads may still be at work and which
/// were never meant to be torn down. Flushes what this process printed.
pub fn leave(code: u8) -> ! {
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    crate::in_process::last_words::fall_silent();
    // SAFETY: `_exit` may be called at any time; nothing after it runs.
    unsafe { nix::libc::_exit(i32::from(code)) }
}
