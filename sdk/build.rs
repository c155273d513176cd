//! Tells the crate which compiler and target built it, for the manifest.
use std::{env, process::Command};

fn main() {
    let target = env::var("TARGET").unwrap_or_default();
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|out| String::from_utf8(out.stdout).ok())
        .unwrap_or_default();
    println!("cargo::rustc-env=WHARF_SDK_TARGET={target}");
    println!("cargo::rustc-env=WHARF_SDK_RUSTC={}", version.trim());
    println!("cargo::rerun-if-changed=build.rs");
}
