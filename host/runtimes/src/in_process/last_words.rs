//! The last line of a process that a plugin ends, and its exit code.
//!
//! A plugin is code in this process, and can end it in the middle of a call: by `exit`, by a panic that aborts, by a fault.
//! The caller of wharf would see an exit code of the plugin's choosing, perhaps 0, and no reason. So from
//! [`watch_over_ends`] until [`crate::in_process::exit::leave`], after the result was written:
//! - `exit`, `quick_exit` and the C library's `_exit` end the process with an exit code of the host's, after one line on
//!   stderr with the plugins and the calls under way;
//! - the signals of a fault write that line and then do what they did before (Rust's own handler reports a stack overflow),
//!   so that the process ends by the signal, with a core file where those are made.
//!
//! A system call made by hand, or a plugin that executes another program, is not noticed.
//!
//! A process that is started again after such an end can have kept which calls were under way ([`keep_last_words_in`]), so
//! that it does not make the same one at once.
//!
//! Everything that runs in a handler is async-signal-safe: atomics, a buffer of the process's own, `getpid`, `prctl` and
//! `write`. And it needs little stack: Rust gives its threads 8 KiB for handlers, half of which the kernel fills with
//! the registers of a large processor.
#![expect(unsafe_code, reason = "handlers of signals and of the process' end: see each block")]
use crate::in_process::calls;
use crate::in_process::calls::Asked;
use nix::libc::{self, c_int, c_void, siginfo_t};
use std::cell::UnsafeCell;
use std::fs::File;
use std::os::fd::IntoRawFd;
use std::path::PathBuf;
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
/// At most this many calls are named in the line.
const NAMED: usize = 4;

/// The pid of the process whose end is reported; 0 for none. Processes that it forks have other pids.
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// The exit code of a process whose plugin calls `exit`.
static CODE: AtomicI32 = AtomicI32::new(1);
/// True once the process ends as it should, or has written its line.
static IS_SAID: AtomicBool = AtomicBool::new(false);
/// The file that says after the end which calls were under way; negative for none.
static KEPT_IN: AtomicI32 = AtomicI32::new(-1);
/// The actions of the signals before ours.
static BEFORE: [OnceLock<libc::sigaction>; FATAL.len()] = [const { OnceLock::new() }; FATAL.len()];

unsafe extern "C" {
    /// Like `atexit`, for `quick_exit`; the crate libc does not declare it.
    fn at_quick_exit(handler: extern "C" fn()) -> c_int;
}

/// From now on, this process reports when a plugin ends it. Called by `main` before the first plugin is loaded; `code` is
/// the exit code of a process that a plugin ends by `exit`.
pub fn watch_over_ends(code: u8) {
    // SAFETY: getpid has no preconditions.
    PROCESS.store(unsafe { libc::getpid() }, Ordering::Release);
    CODE.store(i32::from(code), Ordering::Relaxed);
    // SAFETY: the handler is a function of this executable, which is never unmapped. Handlers run in the opposite order of
    // their registration, so those of plugins have run before. If there is no memory for a handler, it is missing.
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

/// Keeps the calls under way in this file, too, when a plugin ends this process. It stays open as long as the process lives.
pub fn keep_last_words_in(file: File) {
    KEPT_IN.store(file.into_raw_fd(), Ordering::Release);
}

/// A call that was under way when a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WasUnderWay {
    /// The runtime's name; empty for a call of the library as a whole.
    pub runtime: String,
    /// The library's file.
    pub library: PathBuf,
    /// The operation.
    pub operation: String,
    /// The thread that ended the process was one of this runtime.
    pub is_at_fault: bool,
}

/// The calls in such a file.
pub fn read_last_words(text: &str) -> Vec<WasUnderWay> {
    let call = |line: &str| {
        let mut parts = line.split('\t');
        let (fault, operation, runtime) = (parts.next()?, parts.next()?, parts.next()?);
        let library = PathBuf::from(parts.next().filter(|path| !path.is_empty())?);
        let (runtime, operation) = (runtime.to_owned(), operation.to_owned());
        Some(WasUnderWay { runtime, library, operation, is_at_fault: fault == AT_FAULT })
    };
    text.lines().filter_map(call).collect()
}

/// Marks the call of the runtime whose thread ended the process.
const AT_FAULT: &str = "at-fault";
/// The longest name of a thread, with a zero at its end: PR_GET_NAME(2const).
const THREAD_NAME_BYTES: usize = 16;

/// Whether this thread is one of a runtime: the SDK names them so. A longer name is cut off.
fn is_thread_of(runtime: &str) -> bool {
    let mut name = [0u8; THREAD_NAME_BYTES];
    // SAFETY: the call writes at most so many bytes there, with a zero at their end.
    let told = unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let len = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    let cut = &runtime.as_bytes()[..runtime.len().min(THREAD_NAME_BYTES - 1)];
    told == 0 && len > 0 && name[..len] == *cut
}

/// Writes the calls under way to the file that is kept. `line` is written over.
fn keep(line: &mut Line) {
    let file = KEPT_IN.load(Ordering::Acquire);
    if file < 0 {
        return;
    }
    for asked in calls::under_way() {
        line.clear();
        line.add(if is_thread_of(&asked.runtime) { AT_FAULT } else { "" });
        for part in [asked.operation, asked.runtime.as_str(), asked.library.as_str()] {
            line.end_part();
            line.add(part);
        }
        line.write_to(file);
    }
}

fn ptr_to<T>(value: &T) -> *const T {
    std::ptr::from_ref(value)
}

/// The process ends as it should: no line is written any more.
pub(crate) fn fall_silent() {
    IS_SAID.store(true, Ordering::Release);
}

/// Whether the end of this process is to be reported; true at most once.
fn is_to_be_told() -> bool {
    // Without a loaded plugin, the program itself has ended the process.
    if calls::loaded().next().is_none() {
        return false;
    }
    // SAFETY: getpid has no preconditions.
    let is_watched = PROCESS.load(Ordering::Acquire) == unsafe { libc::getpid() };
    is_watched && !IS_SAID.swap(true, Ordering::AcqRel)
}

/// Called by `exit` and `quick_exit`. [`crate::in_process::exit::leave`] does not call those.
extern "C" fn on_exit() {
    if is_to_be_told() {
        tell("exit() ended wharf before its result was said");
        end(CODE.load(Ordering::Relaxed));
    }
}

/// Replaces the C library's `_exit` for all code in this process, including plugins: if several objects define a symbol,
/// the dynamic linker takes the executable's.
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
        // SAFETY: `before` was the action of this signal until ours was set, and it is called as the kernel would have
        // called it.
        unsafe { go_on(before, signal, info, context) };
    }
    // SAFETY: all zeros is the default action, without flags; the numbers are those of this signal.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, ptr_to(&default), std::ptr::null_mut());
        // A fault happens again when this handler returns. A signal that was sent (its code is not above zero) does not, so
        // it is raised again; it arrives when this returns.
        if info.is_null() || (*info).si_code <= 0 {
            libc::raise(signal);
        }
    }
}

/// Calls the former handler, if there was one.
///
/// # Safety
/// `before` must be the former action of this signal, and the other arguments must be those that the kernel gave.
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

/// The line of the one thread that tells how the process ends; a handler's stack has no room for it.
struct TheLine(UnsafeCell<Line>);

// SAFETY: only `tell` uses it, which runs at most once in a process: see `is_to_be_told`.
unsafe impl Sync for TheLine {}

static THE_LINE: TheLine = TheLine(UnsafeCell::new(Line::new()));

/// Writes the line. Called where [`is_to_be_told`] was true, so once. A failure of the write is ignored: the process ends.
fn tell(how: &str) {
    // SAFETY: nobody else has it, since this runs once.
    let line = unsafe { &mut *THE_LINE.0.get() };
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
    line.write_to(libc::STDERR_FILENO);
    keep(line);
}

/// A line of text; further text is dropped when it is full.
struct Line {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl Line {
    const MAX: usize = 2048;

    const fn new() -> Self {
        Self { bytes: [0; Self::MAX], len: 0 }
    }

    /// Makes it empty.
    fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds text; control characters, which a terminal would obey, are replaced.
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

    /// Ends a part of the line. No part has such a character.
    fn end_part(&mut self) {
        if self.len + 1 < Self::MAX {
            self.bytes[self.len] = b'\t';
            self.len += 1;
        }
    }

    fn write_to(&mut self, file: c_int) {
        self.bytes[self.len] = b'\n';
        let line = &self.bytes[..=self.len];
        // SAFETY: the pointer and the length are of one slice.
        unsafe { libc::write(file, line.as_ptr().cast(), line.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_under_way_are_kept_with_the_one_whose_thread_it_was() {
        let call = calls::begin("/of/last/words.so", "a-long-name-of-a-runtime", "list");
        let other = calls::begin("/of/last/words.so", "another", "inspect");
        let file = tempfile::NamedTempFile::new().unwrap();
        let opened = file.reopen().unwrap();
        let kept = std::thread::Builder::new().name("a-long-name-of-a-runtime".to_owned()).spawn(move || {
            keep_last_words_in(opened);
            keep(&mut Line::new());
            KEPT_IN.store(-1, Ordering::Release);
        });
        kept.unwrap().join().unwrap();
        drop((call, other));
        let text = std::fs::read_to_string(file.path()).unwrap();
        let mut kept = read_last_words(&text);
        kept.retain(|call| call.library == *"/of/last/words.so");
        let was = |runtime: &str, operation: &str, is_at_fault| WasUnderWay {
            runtime: runtime.to_owned(),
            library: "/of/last/words.so".into(),
            operation: operation.to_owned(),
            is_at_fault,
        };
        kept.sort_by(|a, b| a.runtime.cmp(&b.runtime));
        assert_eq!(kept, [was("a-long-name-of-a-runtime", "list", true), was("another", "inspect", false)]);
        assert_eq!(read_last_words("\nhalf\tline\n"), []);
    }
}
