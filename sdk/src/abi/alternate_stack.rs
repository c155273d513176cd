//! A stack for signal handlers on each of the plugin's threads.
//!
//! The host writes a line when a plugin's fault ends the process, in a handler of the signal. A thread whose own stack
//! has overflowed can run none on it. Rust gives such a stack to the threads of the host alone: in a library its
//! start code does not run.
#![expect(unsafe_code, reason = "sigaltstack has no safe form: see each block")]
use std::cell::Cell;

/// What the kernel saves of a thread with the widest registers, and room for a handler.
const BYTES: usize = 64 * 1024;

thread_local! {
    static STACK: Cell<Option<AlternateStack>> = const { Cell::new(None) };
}

/// The calling thread's stack; the kernel does not know it any more when this is dropped.
struct AlternateStack {
    _bytes: Box<[u8]>,
}

/// Gives the calling thread a stack for signal handlers until it ends, unless it has one.
pub(super) fn give() {
    let mut now = NONE;
    // SAFETY: it only asks, and writes to a value of this function's own.
    let asked = unsafe { libc::sigaltstack(std::ptr::null(), &raw mut now) };
    if asked != 0 || now.ss_flags & libc::SS_DISABLE == 0 {
        return;
    }
    let mut stack = vec![0; BYTES].into_boxed_slice();
    let new = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: BYTES };
    // SAFETY: the memory is a signal handler's alone from here until it is dropped, which takes it back first.
    if unsafe { libc::sigaltstack(&raw const new, std::ptr::null_mut()) } == 0 {
        STACK.set(Some(AlternateStack { _bytes: stack }));
    }
}

const NONE: libc::stack_t =
    libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };

impl Drop for AlternateStack {
    fn drop(&mut self) {
        // SAFETY: it only says that this thread, which was given the stack, has none any more; that happens on the
        // thread's own stack, and before the memory is freed.
        unsafe { libc::sigaltstack(&NONE, std::ptr::null_mut()) };
    }
}
