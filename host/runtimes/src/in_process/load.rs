//! Maps a library whose bytes were checked, and gets its root module.
//!
//! The functions of `abi_stable` (`RootModule::load_*`) keep one module per type and would return the first library for
//! every later one. So each library is opened here, and its header is taken from it.
#![expect(unsafe_code, reason = "dlopen and dlsym: see each block")]
use crate::error::PluginError;
use crate::in_process::copy;
use crate::in_process::turn::Turn;
use crate::manifest::ManifestText;
use crate::{manifest, trust};
use abi_stable::library::{AbiHeaderRef, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL};
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    time::Duration,
};
use wharf_abi::PluginModule_Ref;
use wharf_sdk::stamp::Stamp;

/// `RTLD_NODELETE` of dlopen(3), which the crate libloading does not define: the library is never unmapped.
const RTLD_NODELETE: i32 = 0x1000;

/// A loaded library.
pub(crate) struct Loaded {
    /// Its manifest, read from the very bytes that are mapped.
    pub(crate) stamp: Stamp,
    /// The library's functions.
    pub(crate) module: PluginModule_Ref,
}

/// The pin of a library, and the file with the pins.
pub(crate) struct Pin<'a> {
    pub(crate) lock: &'a Path,
    pub(crate) sha256: &'a str,
}

/// How long a library may take to be mapped and to describe itself.
pub(crate) const LOAD_DEADLINE: Duration = Duration::from_secs(10);

/// A library whose bytes were checked and that may be mapped. None of its code has run.
pub(crate) struct Checked {
    path: PathBuf,
    /// The copy to map.
    pub(crate) file: File,
    text: ManifestText,
    /// The SHA-256 of `file`; without a pin it is the name of the kept copy.
    pub(crate) sha256: String,
}

/// Checks who could have written a library, copies it, and checks its manifest. `cache` is the folder of copies; without
/// it, each process has a copy of its own.
pub(crate) fn check(
    path: &Path,
    pin: Option<&Pin<'_>>,
    cache: Option<&Path>,
) -> Result<Checked, PluginError> {
    let library =
        trust::check(path).map_err(|source| PluginError::Untrusted { path: path.to_owned(), source })?;
    let copy =
        copy::of(&library, cache).map_err(|source| PluginError::Host { path: path.to_owned(), source })?;
    let file = copy.file;
    let text = manifest::read(&file).map_err(|why| PluginError::NotAPlugin { path: path.to_owned(), why })?;
    manifest::check(&text.stamp).map_err(|why| PluginError::Incompatible { path: path.to_owned(), why })?;
    // Without a pin, the digest only finds a verdict, and the copy's name is good enough for that: a program that could
    // give a copy a false name could write verdicts, too. A pin is about the bytes, so they are hashed.
    let sha256 = match copy.name.filter(|_| pin.is_none()) {
        Some(name) => name,
        None => digest(&file).map_err(|source| PluginError::Unreadable { path: path.to_owned(), source })?,
    };
    if let Some(pin) = pin {
        check_digest(path, &sha256, pin)?;
    }
    Ok(Checked { path: path.to_owned(), file, text, sha256 })
}

impl Checked {
    /// Maps the library, which runs its constructors: to be called on that plugin's own thread.
    pub(crate) fn map(self) -> Result<Loaded, PluginError> {
        let turn = Turn::take(&self.path);
        let module = map(&self.path, self.file)?;
        drop(turn);
        if module.describe()().as_str() != self.text.text {
            return Err(PluginError::ManifestDisagrees { path: self.path });
        }
        Ok(Loaded { stamp: self.text.stamp, module })
    }
}

/// Maps a library in a child process that exists to try it.
pub(crate) fn try_to_map(path: &Path, file: File) -> Result<(), PluginError> {
    map(path, file).map(|module| drop(module.describe()()))
}

/// The SHA-256 of a file, in lowercase hexadecimal digits.
pub(crate) fn digest(file: &File) -> std::io::Result<String> {
    let mut file = file;
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => hasher.update(&chunk[..read]),
        }
    }
    Ok(copy::hexadecimal(&hasher.finalize()))
}

fn check_digest(path: &Path, found: &str, pin: &Pin<'_>) -> Result<(), PluginError> {
    if found.eq_ignore_ascii_case(pin.sha256) {
        return Ok(());
    }
    Err(PluginError::Digest {
        path: path.to_owned(),
        found: found.to_owned(),
        pinned: pin.sha256.to_owned(),
        lock: pin.lock.to_owned(),
    })
}

fn map(path: &Path, file: File) -> Result<PluginModule_Ref, PluginError> {
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: opening runs the library's constructors. Its user or root wrote it (`trust`), its manifest says that it is a
    // plugin for this host, and the bytes are those that were checked.
    let opened = unsafe { Handle::open(Some(&name), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) };
    let library = opened.map_err(|error| PluginError::Incompatible {
        path: path.to_owned(),
        why: format!("the linker refuses it: {}", one_line(&error_text(&error))),
    })?;
    // glibc knows a library by the name that it was opened with, here that of a descriptor. If the number were used again,
    // it would mean this library for glibc. So the descriptor stays open, like the library, for the life of the process.
    std::mem::forget(file);
    // SAFETY: a symbol of this name is the header that abi_stable's contract describes; it begins with a magic string and a
    // version, which `upgrade` verifies before anything else is read.
    let symbol = unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
    let header = *symbol.map_err(|_| PluginError::NotAPlugin {
        path: path.to_owned(),
        why: "it has a manifest and lacks the entry symbol; it was not made by export_runtime!".to_owned(),
    })?;
    std::mem::forget(library);
    header
        .upgrade()
        .and_then(|header| header.init_root_module::<PluginModule_Ref>())
        .map_err(|error| PluginError::Incompatible { path: path.to_owned(), why: layout_fault(&error) })
}

/// The fault in one line for people; abi_stable's own text has up to 17 KB of types.
fn layout_fault(error: &LibraryError) -> String {
    tracing::debug!(%error, "the layout check of a plugin failed");
    match error {
        LibraryError::InvalidAbiHeader(_) | LibraryError::InvalidCAbi { .. } => {
            "it was built with another version of abi_stable; rebuild it with the SDK of this wharf"
                .to_owned()
        }
        LibraryError::AbiInstability(_) => {
            "the layout of its interface differs from this host's; rebuild it with the SDK of this wharf"
                .to_owned()
        }
        LibraryError::IncompatibleVersionNumber { expected_version, actual_version, .. } => format!(
            "its interface has version {actual_version}, and this host has {expected_version}; rebuild it with the SDK of this wharf"
        ),
        other => one_line(&other.to_string()),
    }
}

fn error_text(error: &libloading::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

fn one_line(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}
