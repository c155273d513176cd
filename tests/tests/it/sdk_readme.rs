//! Follows the SDK's README as a reader would: a crate of its own, outside of this workspace, made from the README's
//! blocks.
use std::{
    env, fs,
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};
use wharf_tests::host::{Host, Said};

/// The text of the first block in this language.
fn block<'a>(readme: &'a str, language: &str) -> &'a str {
    let begin = format!("```{language}\n");
    let (_, after) = readme.split_once(&begin).unwrap_or_else(|| panic!("no block of {language}"));
    after.split_once("```").unwrap().0
}

/// The lines that are typed at the prompt in all console blocks.
fn typed(readme: &str) -> Vec<&str> {
    let blocks = readme.split("```console\n").skip(1).map(|after| after.split_once("```").unwrap().0);
    blocks.flat_map(str::lines).map(|line| line.strip_prefix("$ ").unwrap()).collect()
}

fn write(path: &Path, text: &str) {
    fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).unwrap();
}

/// The reader's folder, beside which lies wharf's repository.
fn crate_of(readme: &str, folder: &Path) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    symlink(workspace, folder.join("wharf")).unwrap();
    let own = folder.join("wharf-plugin-echo");
    fs::create_dir_all(own.join("src")).unwrap();
    write(&own.join("Cargo.toml"), block(readme, "toml"));
    write(&own.join("src/lib.rs"), block(readme, "rust"));
    // Nothing is downloaded, and compiled crates are kept.
    fs::copy(workspace.join("Cargo.lock"), own.join("Cargo.lock")).unwrap();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk-readme");
    fs::create_dir_all(&kept).unwrap();
    symlink(kept, own.join("target")).unwrap();
    own
}

/// Runs the lines in one shell, which stops at the first that fails.
fn followed(host: &Host, own: &Path, lines: &[&str]) -> Said {
    let wharf = host.command(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-ec", &lines.join("\n")]).current_dir(own);
    // The plugins of the host are not the reader's.
    let given = wharf.get_envs().filter(|(name, _)| *name != "WHARF_PLUGIN_PATH");
    shell.env_clear().envs(given.filter_map(|(name, value)| Some((name, value?))));
    // With tables for debugging the library is many times larger, and is read and checked for each of the cases.
    let built_like_this = ["CARGO_PROFILE_DEV_DEBUG", "CARGO_INCREMENTAL"];
    for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"].iter().chain(&built_like_this) {
        shell.envs(env::var_os(name).map(|value| (name, value)));
    }
    Said::of(&shell.env("CARGO_NET_OFFLINE", "true").output().unwrap())
}

#[test]
fn who_follows_the_readme_outside_of_this_workspace_gets_a_runtime_that_passes() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/README.md")).unwrap();
    let lines = typed(&readme);
    for wanted in
        ["cargo build", "wharf runtime list", "wharf runtime check echo", "wharf runtime test target"]
    {
        assert!(lines.iter().any(|line| line.starts_with(wanted)), "'{wanted}' is not in {lines:?}");
    }
    let host = Host::new().with_users_home();
    let own = crate_of(&readme, &host.path(""));
    // Leftovers of an earlier test prove nothing, and would grow each time, since they lie at another path.
    let clean = "cargo clean --package wharf-plugin-echo --package wharf-sdk --package wharf-abi";
    assert_eq!(followed(&host, &own, &[clean]).code, 0);
    let said = followed(&host, &own, &lines);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    let listed = said.stdout.lines().find(|line| line.starts_with("echo ")).unwrap();
    assert!(listed.contains("usable") && listed.contains("/wharf-plugin-echo/target/debug/"), "{said:?}");
    assert!(said.stdout.contains("attach        passed"), "{said:?}");
    assert!(said.stdout.contains(" 0 failed"), "{said:?}");
}
