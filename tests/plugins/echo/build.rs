//! Takes the one complete runtime out of the SDK's README.
use std::{env, fs, io::Write, path::Path};

fn main() {
    let readme = "../../../sdk/README.md";
    println!("cargo::rerun-if-changed={readme}");
    let text = fs::read_to_string(readme).expect("the SDK's README");
    let (_, code) = text.split_once("```rust\n").expect("a block of Rust");
    let (code, _) = code.split_once("```").expect("the block's end");
    // A file that is included has no attributes of a crate.
    let is_kept = |line: &&str| !line.starts_with("#![");
    let code: String = code.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
    let out = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("echo.rs");
    fs::File::create(out)
        .and_then(|mut file| file.write_all(code.as_bytes()))
        .expect("the code can be written");
}
