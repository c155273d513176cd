//! Finds the built plugins, and makes bad ones of them.
use object::{Object, ObjectSection};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The built library of a package of this workspace.
///
/// `cargo test --workspace` leaves it beside the test's own executable only, `cargo build` in both places: so the
/// one beside is preferred, the other may be older.
///
/// # Panics
/// Where it was not built: cargo builds no library for a package that only finds it by its path.
pub fn library(package: &str) -> PathBuf {
    let name = format!("lib{}.so", package.replace('-', "_"));
    let own = env::current_exe().expect("the test's own path");
    let beside = own.parent().expect("a folder").join(&name);
    let above = own.ancestors().nth(2).expect("target/debug").join(&name);
    for path in [beside, above] {
        if path.exists() {
            return path;
        }
    }
    panic!("{name} was not built; run: cargo test --workspace (or: cargo test -p wharf-tests -p {package})");
}

/// The stamp that lies in a library.
pub fn stamp_text(path: &Path) -> String {
    let bytes = std::fs::read(path).expect("the library");
    let (at, len) = section(&bytes);
    String::from_utf8(bytes[at..at + len].to_vec()).expect("text")
}

/// Replaces a part of the stamp in a library's section, and only there.
///
/// # Panics
/// Where the part is not there, or the other one has another length: the file's layout stays as it is.
pub fn patch_stamp(path: &Path, part: &str, other: &str) {
    assert_eq!(part.len(), other.len(), "'{part}' and '{other}' differ in length");
    let mut bytes = std::fs::read(path).expect("the library");
    let (at, len) = section(&bytes);
    let stamp = &bytes[at..at + len];
    let found = stamp.windows(part.len()).position(|window| window == part.as_bytes());
    let found = at + found.unwrap_or_else(|| panic!("no '{part}' in the stamp"));
    bytes[found..found + other.len()].copy_from_slice(other.as_bytes());
    put(path, &bytes);
}

fn section(bytes: &[u8]) -> (usize, usize) {
    let elf = object::File::parse(bytes).expect("an ELF library");
    let section = elf.section_by_name(wharf_sdk::stamp::SECTION).expect("a stamp");
    let (at, len) = section.file_range().expect("bytes in the file");
    (usize::try_from(at).expect("an offset"), usize::try_from(len).expect("a length"))
}

/// Compiles a library from a line of Rust, without the SDK.
pub fn compile(path: &Path, source: &str) {
    let file = path.with_extension("rs");
    put(&file, source.as_bytes());
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let args = ["--edition=2024", "--crate-type=cdylib", "--crate-name=made_by_a_test", "-Cdebuginfo=0"];
    let output = Command::new(rustc).args(args).arg("-o").arg(path).arg(&file).output().expect("rustc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Writes a file of a test's own.
fn put(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).expect("a file");
    file.write_all(bytes).expect("the bytes");
}
