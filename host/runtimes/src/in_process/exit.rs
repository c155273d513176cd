//! [`leave`]: ends a process that has loaded plugins. `main` and the command line call it last.
#![expect(unsafe_code, reason = "_exit has no safe form")]
use std::io::Write;

/// Ends the process after flushing its output, without running destructors: threads of loaded libraries may still be at
/// work, and libraries are never torn down.
pub fn leave(code: u8) -> ! {
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    crate::in_process::last_words::fall_silent();
    // SAFETY: `_exit` may be called at any time; nothing after it runs.
    unsafe { nix::libc::_exit(i32::from(code)) }
}
