//! The programs that the build made.
use std::{fs, path::PathBuf, sync::OnceLock};

/// A program that the build made: beside the test's own, or in the folder above.
pub fn built(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("the test has a path");
    let found = exe.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built; run: cargo test --workspace"))
}

/// The command in a folder without plugins, as it is in the build's own folder. A runtime that leaves a trace on this
/// machine matters for adoption (R07), so a test's host must have only the plugins that it was given.
pub(crate) fn wharf_alone() -> PathBuf {
    static ALONE: OnceLock<PathBuf> = OnceLock::new();
    ALONE
        .get_or_init(|| {
            let built = built("wharf");
            let folder = built.with_file_name("alone");
            fs::create_dir_all(&folder).expect("a folder for the command");
            // Several test binaries may do this at the same time, and the build may have replaced the file.
            let (link, linked) = (folder.join(std::process::id().to_string()), folder.join("wharf"));
            let _ = fs::remove_file(&link);
            // A user may not link to another user's file (fs.protected_hardlinks), and another user may have built it.
            if fs::hard_link(&built, &link).is_err() {
                fs::copy(built, &link).expect("the command can be copied");
            }
            fs::rename(&link, &linked).expect("a link can be renamed");
            // Where both are the same file already, rename(2) does nothing.
            let _ = fs::remove_file(link);
            linked
        })
        .clone()
}

/// The server that comes with the repository, as a SERVER.
pub fn demo_server() -> String {
    built("wharf-demo-server").display().to_string()
}
