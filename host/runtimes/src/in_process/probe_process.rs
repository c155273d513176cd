//! The child process that tries a library. `main` enters it by [`PROBE_ARGUMENT`]; [`crate::probe`] starts it.
use crate::in_process::last_words::watch_over_ends;
use crate::in_process::{calls, load};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use rustix::stdio::{dup2_stdin, dup2_stdout, stdin, stdout};
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};
use wharf_descriptors as descriptors;

/// The first argument that makes the binary try a library: descriptor 0 is the library, the next argument its name.
pub const PROBE_ARGUMENT: &str = "__probe-plugin";
/// The word for "the library was loaded", written with the process's pid.
pub(crate) const LOADED: &str = "loaded";
/// The word for "the library cannot be loaded, and did no harm", written with the process's pid.
pub(crate) const CAME_BACK: &str = "came-back";

/// The exit code of a process that could not try the library, for a reason of its own. It says nothing about the library.
pub(crate) const TROUBLE_CODE: u8 = 125;

/// Loads the library that is descriptor 0, and reports on descriptor 1 that loading it returned. Returns the exit code; the
/// binary calls it before anything else.
pub fn run_probe(path: &Path, code_of_an_end: u8) -> u8 {
    match attempt(path, code_of_an_end) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: the library cannot be tried: {error}");
            TROUBLE_CODE
        }
    }
}

fn attempt(path: &Path, code_of_an_end: u8) -> io::Result<()> {
    // If the process that waits for this one is killed while a constructor hangs, this one must not stay.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    descriptors::close_inherited();
    // The parent reports a crash; a core file for each would only cost time.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    let library = File::from(rustix::io::fcntl_dupfd_cloexec(stdin(), descriptors::FIRST_FREE_DESCRIPTOR)?);
    let mut told = File::from(rustix::io::fcntl_dupfd_cloexec(stdout(), descriptors::FIRST_FREE_DESCRIPTOR)?);
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    watch_over_ends(code_of_an_end);
    calls::remember(&path.display().to_string());
    let word = match load::try_to_map(path, library) {
        Ok(()) => LOADED,
        Err(_) => CAME_BACK,
    };
    // The pid tells this process from one that the library forked, which may come here, too.
    writeln!(told, "{word} {}", std::process::id())
}
