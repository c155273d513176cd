//! What a process says when a plugin ends it, and the exit code that it then has.
//!
//! A plugin is code in this process, and can end it in the middle of a call: by `exit`, by a panic that aborts, by a
//! fault. Whoever waits would see an exit code of the plugin's choosing, 0 perhaps, and no reason. So from
//! [`watch_over_ends`] on, until [`crate::in_process::exit::leave`] says that the result is told:
//! - `exit`, `quick_exit` and the C library's `_exit` end the process with a code of the host's, after one line on
//!   stderr with the plugins and the calls that were under way;
//! - the signals of a fault write that line and go on to what they did before (Rust's own handler tells a stack
//!   overflow), so that the process ends by the signal, with a core file where those are made.
//!
//! A system call made by hand, or a plugin that executes another program, is not seen.
//!
//! Everything that runs in a handler is async-signal-safe: atomics, a buffer on the stack, `getpid` and `write`.
#![expect(unsafe_code, reason = "handlers of signals and of the process' end: see each block")]
use crate::in_process::calls;
use crate::in_process::calls::Asked;
use nix::libc::{self, c_int, c_void, siginfo_t};
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicI32, Ordering},
};

/// The signals of a fault or of an abort, which end a process unless they are handled.
const FATAL: [(c_int, &str); 7] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGTRAP, "SIGTRAP"),
    (libc::SIGSYS, "SIGSYS"),
];
/// So many calls are named.
const NAMED: usize = 4;

/// The process that is watched over, and none of those that it forks; 0 for none.
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// The exit code of a process whose plugin calls `exit`.
static CODE: AtomicI32 = AtomicI32::new(1);
/// The process leaves as it should, or has said its last words.
static IS_SAID: AtomicBool = AtomicBool::new(false);
/// What the signals did before.
static BEFORE: [OnceLock<libc::sigaction>; FATAL.len()] = [const { OnceLock::new() }; FATAL.len()];

unsafe extern "C" {
    /// As `atexit`, for `quick_exit`; the crate libc does not declare it.
    fn at_quick_exit(handler: extern "C" fn()) -> c_int;
}

/// From now on a plugin cannot end this process without a word. Called by `main` before the first plugin is loaded,
/// with the exit code of a process that a plugin ends by `exit`.
pub fn watch_over_ends(code: u8) {
    // SAFETY: getpid has no preconditions.
    PROCESS.store(unsafe { libc::getpid() }, Ordering::Release);
    CODE.store(i32::from(code), Ordering::Relaxed);
    // SAFETY: the handler is a function of this executable, which is never unmapped. The first to be registered is
    // the last to be called: handlers of plugins have run by then. Where there is no memory for one it is missing.
    unsafe {
        libc::atexit(on_exit);
        at_quick_exit(on_exit);
    }
    for ((signal, _), before) in FATAL.iter().zip(&BEFORE) {
        // SAFETY: all zeros is a valid sigaction; every field that matters is set below.
        let (mut action, mut old): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: both point to values of their own; the handler has the form that SA_SIGINFO asks for.
        if unsafe { libc::sigaction(*signal, ptr_to(&action), &raw mut old) } == 0 {
            let _ = before.set(old);
        }
    }
}

fn ptr_to<T>(value: &T) -> *const T {
    std::ptr::from_ref(value)
}

/// The process leaves as it should: nothing more is said.
pub(crate) fn fall_silent() {
    IS_SAID.store(true, Ordering::Release);
}

/// Whether the end of this process is to be told, which is asked once.
fn is_to_be_told() -> bool {
    // Without a plugin it is this program's own end.
    if calls::loaded().next().is_none() {
        return false;
    }
    // SAFETY: getpid has no preconditions.
    let is_watched = PROCESS.load(Ordering::Acquire) == unsafe { libc::getpid() };
    is_watched && !IS_SAID.swap(true, Ordering::AcqRel)
}

/// `exit` and `quick_exit` call it: [`crate::in_process::exit::leave`] does not come here.
extern "C" fn on_exit() {
    if is_to_be_told() {
        tell("exit() ended wharf before its result was said");
        end(CODE.load(Ordering::Relaxed));
    }
}

/// The C library's `_exit` for everything in this process, plugins too: of several that have a symbol, the dynamic
/// linker takes the executable's.
#[unsafe(no_mangle)]
extern "C" fn _exit(code: c_int) -> ! {
    if is_to_be_told() {
        tell("_exit() ended wharf before its result was said");
        end(CODE.load(Ordering::Relaxed));
    }
    end(code)
}

/// The other name of `_exit`.
#[unsafe(no_mangle)]
extern "C" fn _Exit(code: c_int) -> ! {
    _exit(code)
}

/// Ends the process at once.
fn end(code: c_int) -> ! {
    loop {
        // SAFETY: the system call takes one number and does not return.
        unsafe { libc::syscall(libc::SYS_exit_group, code) };
    }
}

unsafe extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let at = FATAL.iter().position(|(number, _)| *number == signal);
    if is_to_be_told() {
        let name = at.map_or("a signal", |at| FATAL[at].1);
        tell(name);
    }
    if let Some(before) = at.and_then(|at| BEFORE[at].get()) {
        // SAFETY: it was the handler of this signal until ours was set, and is called as the kernel would have.
        unsafe { go_on(before, signal, info, context) };
    }
    // SAFETY: all zeros is the default action, without flags; the numbers are those of this signal.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, ptr_to(&default), std::ptr::null_mut());
        // A fault comes again when this returns. A signal that was sent (its code is not above zero) does not: it
        // is sent again, and arrives when this returns.
        if info.is_null() || (*info).si_code <= 0 {
            libc::raise(signal);
        }
    }
}

/// Calls the handler that was there before, if it was one.
///
/// # Safety
/// `before` was the action of this signal, and the others are what the kernel gave.
unsafe fn go_on(before: &libc::sigaction, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let handler = before.sa_sigaction;
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        return;
    }
    if before.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: an action with this flag holds a function of this form.
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
            unsafe { std::mem::transmute(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: an action without the flag holds a function of this form.
        let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
        handler(signal);
    }
}

/// Writes the line. A write that fails is nobody's concern: the process ends.
fn tell(how: &str) {
    let mut line = Line::new();
    line.add("error: ");
    line.add(how);
    if how.starts_with("SIG") {
        line.add(" ended wharf");
    }
    for (at, asked) in calls::under_way().take(NAMED).enumerate() {
        line.add(if at == 0 { "; calls of plugins under way: " } else { ", " });
        line.add_call(asked);
    }
    if calls::under_way().nth(NAMED).is_some() {
        line.add(", and more");
    }
    if calls::under_way().next().is_none() {
        line.add("; no call of a plugin was under way; loaded: ");
        for (at, library) in calls::loaded().enumerate() {
            line.add(if at == 0 { "" } else { ", " });
            line.add(&library.library);
        }
    }
    line.write();
}

/// A line of text on the stack; what does not fit is left out.
struct Line {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl Line {
    const MAX: usize = 2048;

    fn new() -> Self {
        Self { bytes: [0; Self::MAX], len: 0 }
    }

    /// Adds text; what a terminal would obey is replaced.
    fn add(&mut self, text: &str) {
        for &byte in text.as_bytes() {
            if self.len + 1 < Self::MAX {
                self.bytes[self.len] = if byte < b' ' || byte == 0x7f { b'?' } else { byte };
                self.len += 1;
            }
        }
    }

    fn add_call(&mut self, asked: &Asked) {
        self.add("'");
        self.add(asked.operation);
        self.add("'");
        if !asked.runtime.is_empty() {
            self.add(" of the runtime '");
            self.add(&asked.runtime);
            self.add("'");
        }
        self.add(" (");
        self.add(&asked.library);
        self.add(")");
    }

    fn write(&mut self) {
        self.bytes[self.len] = b'\n';
        let line = &self.bytes[..=self.len];
        // SAFETY: the pointer and the length are of one slice.
        unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
    }
}
