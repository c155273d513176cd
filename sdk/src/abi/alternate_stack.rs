//! A stack for signal handlers on each of the plugin's threads. Called whenever a thread of the plugin's Tokio runtime
//! starts.
//!
//! When a plugin's fault ends the process, a signal handler of the host writes a last line. A thread whose own stack has
//! overflowed cannot run a handler on it. Rust's standard library gives a second stack only to the host's threads: a
//! library's copy of it is never initialised.
#![expect(unsafe_code, reason = "sigaltstack has no safe form: see each block")]
use std::cell::Cell;

/// Room for the registers that the kernel saves of a thread, at their widest, and for a handler.
const BYTES: usize = 64 * 1024;

thread_local! {
    static STACK: Cell<Option<AlternateStack>> = const { Cell::new(None) };
}

/// The calling thread's second stack; dropping it takes it back from the kernel.
struct AlternateStack {
    _bytes: Box<[u8]>,
}

/// Gives the calling thread a stack for signal handlers until it ends, unless it has one.
pub(super) fn give() {
    let mut now = NONE;
    // SAFETY: the call only asks, and writes to a value of this function's own.
    let asked = unsafe { libc::sigaltstack(std::ptr::null(), &raw mut now) };
    if asked != 0 || now.ss_flags & libc::SS_DISABLE == 0 {
        return;
    }
    let mut stack = vec![0; BYTES].into_boxed_slice();
    let new = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: BYTES };
    // SAFETY: from here on only signal handlers use the memory, until it is dropped, which takes it back from the kernel
    // first.
    if unsafe { libc::sigaltstack(&raw const new, std::ptr::null_mut()) } == 0 {
        STACK.set(Some(AlternateStack { _bytes: stack }));
    }
}

const NONE: libc::stack_t =
    libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };

impl Drop for AlternateStack {
    fn drop(&mut self) {
        // SAFETY: this call takes the stack back from the kernel, on the thread that was given it. It runs on the thread's
        // own stack, and before the memory is freed.
        unsafe { libc::sigaltstack(&NONE, std::ptr::null_mut()) };
    }
}
