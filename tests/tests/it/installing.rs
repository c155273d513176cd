//! `packaging/install` and `packaging/uninstall`, with the binaries of this build, and the package for Debian.
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use wharf_tests::host::{COMMAND_WAIT, Said, built, demo_server, has_tool, output_of};
use wharf_tests::library;

/// What a build leaves in its folder, in a folder of its own.
fn binaries(folder: &Path) {
    let libraries = ["process", "docker", "kubernetes"].map(|name| library(&format!("wharf-plugin-{name}")));
    for file in libraries.into_iter().chain([built("wharf")]) {
        let there = folder.join(file.file_name().unwrap());
        if fs::hard_link(&file, &there).is_err() {
            fs::copy(&file, &there).unwrap();
        }
    }
}

fn script(name: &str, args: &[&str]) -> Said {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(name);
    // Binaries of a build for debugging are large: they are packed, and not compressed.
    let packed = ("DPKG_DEB_COMPRESSOR_TYPE", "none");
    Said::of(&output_of(Command::new(path).args(args).env(packed.0, packed.1), COMMAND_WAIT))
}

/// The installed command, in a home of its own, with nothing else that leads to plugins or engines.
fn wharf(prefix: &Path, home: &Path, args: &[&str]) -> Said {
    let work = home.join("work");
    fs::create_dir_all(&work).unwrap();
    let output = Command::new(prefix.join("bin/wharf"))
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .env("WHARF_ENGINE_PATH", "")
        .current_dir(work)
        .output()
        .unwrap();
    Said::of(&output)
}

/// Removes what a test that failed has left running.
struct Workloads<'a>(&'a Path, &'a Path);

impl Drop for Workloads<'_> {
    fn drop(&mut self) {
        if self.0.join("bin/wharf").exists() {
            let said = wharf(self.0, self.1, &["rm", "--all"]);
            assert!(std::thread::panicking() || said.code == 0, "{said:?}");
        }
    }
}

fn write(path: &Path, text: &str) {
    fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

/// A folder that nobody else can write to, whatever the umask is: plugins in others are refused.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("wharf-install-").tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Checks that `version` tells of all that is there, and of nothing else.
fn is_whole(prefix: &Path, home: &Path) {
    let said = wharf(prefix, home, &["version", "--format", "json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    let installation = &told["installation"];
    assert_eq!(installation["prefix"].as_str(), prefix.to_str(), "{told}");
    assert_eq!(installation["missing"].as_array().unwrap().len(), 0, "{told}");
    let told: BTreeSet<PathBuf> = installation["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| prefix.join(file.as_str().unwrap()))
        .collect();
    assert_eq!(told, files_below(prefix));
    for file in [
        "bin/wharf",
        "lib/wharf/plugins/libwharf_plugin_process.so",
        "lib/wharf/plugins/libwharf_plugin_docker.so",
        "lib/wharf/plugins/libwharf_plugin_kubernetes.so",
        "share/man/man1/wharf.1",
        "share/man/man1/wharf-run.1",
        "share/bash-completion/completions/wharf",
        "share/zsh/site-functions/_wharf",
        "share/fish/vendor_completions.d/wharf.fish",
    ] {
        assert!(told.contains(&prefix.join(file)), "{file}: {told:?}");
        assert!(fs::metadata(prefix.join(file)).unwrap().len() > 0, "{file}");
    }
}

#[test]
fn what_is_installed_finds_its_plugins_runs_a_server_is_told_and_goes_away_without_a_rest() {
    let (from, root, home) = (folder(), folder(), folder());
    binaries(from.path());
    let prefix = root.path().join("pre fix");
    let prefix_text = prefix.to_str().unwrap();
    let install = ["--built", from.path().to_str().unwrap(), "--prefix", prefix_text];
    let said = script("install", &install);
    assert_eq!(said.code, 0, "{said:?}");
    is_whole(&prefix, home.path());
    let text = wharf(&prefix, home.path(), &["version"]).stdout;
    assert!(text.contains(&format!("installed in {prefix_text}\n  bin: wharf\n")), "{text}");
    let said = wharf(&prefix, home.path(), &["doctor"]);
    assert_eq!(said.code, 0, "{said:?}");
    let workloads = Workloads(&prefix, home.path());
    let said = wharf(&prefix, home.path(), &["run", "--name", "one", &demo_server()]);
    assert_eq!(said.code, 0, "{said:?}");

    // Installed again while a workload runs, and after a version that had another file.
    let list = prefix.join("share/wharf/installed");
    let earlier = format!("{}share/wharf/of-an-earlier-version\n", fs::read_to_string(&list).unwrap());
    write(&list, &earlier);
    write(&prefix.join("share/wharf/of-an-earlier-version"), "");
    let said = script("install", &install);
    assert_eq!(said.code, 0, "{said:?}");
    is_whole(&prefix, home.path());
    let said = wharf(&prefix, home.path(), &["list"]);
    assert!(said.code == 0 && said.stdout.contains("one") && said.stdout.contains("running"), "{said:?}");
    drop(workloads);

    let library = prefix.join("lib/wharf/plugins/libwharf_plugin_docker.so");
    fs::remove_file(&library).unwrap();
    let text = wharf(&prefix, home.path(), &["version"]).stdout;
    assert!(text.contains(&format!("missing: {}", library.display())), "{text}");
    let own = prefix.join("share/of-somebody-else");
    write(&own, "");
    let said = script("uninstall", &["--prefix", prefix_text]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(files_below(root.path()), BTreeSet::from([own.clone()]));
    fs::remove_file(own).unwrap();
    let said = script("uninstall", &["--prefix", prefix_text]);
    assert!(said.code != 0 && said.stderr.contains("no wharf"), "{said:?}");
}

#[test]
fn a_list_of_installed_files_that_names_others_removes_nothing() {
    let root = folder();
    let prefix = root.path().join("prefix");
    for bad in ["/etc/passwd", "../other", "bin/../../other"] {
        fs::create_dir_all(prefix.join("share/wharf")).unwrap();
        write(&root.path().join("other"), "");
        write(&prefix.join("share/wharf/installed"), &format!("share/wharf/installed\n{bad}\n"));
        let said = script("uninstall", &["--prefix", prefix.to_str().unwrap()]);
        assert!(said.code != 0 && said.stderr.contains(bad), "{said:?}");
        assert!(root.path().join("other").exists() && prefix.join("share/wharf/installed").exists(), "{bad}");
    }
}

#[test]
fn the_package_for_debian_has_the_command_its_plugins_and_the_apparmor_profile() {
    if !has_tool("dpkg-deb", "dpkg-deb") {
        return;
    }
    let (from, made, root, home) = (folder(), folder(), folder(), folder());
    binaries(from.path());
    let said = script(
        "install",
        &["--built", from.path().to_str().unwrap(), "--deb", made.path().to_str().unwrap()],
    );
    assert_eq!(said.code, 0, "{said:?}");
    let package = said.stdout.trim();
    let ask = |args: &[&str]| Said::of(&Command::new("dpkg-deb").args(args).output().unwrap());
    let control = ask(&["--field", package]).stdout;
    assert!(control.contains("Package: wharf\n") && control.contains("Depends: libc6 (>= 2."), "{control}");
    let contents = ask(&["--contents", package]).stdout;
    assert!(contents.lines().all(|line| line.contains(" root/root ")), "{contents}");
    assert_eq!(ask(&["--extract", package, root.path().to_str().unwrap()]).code, 0);
    let profile = fs::read_to_string(root.path().join("etc/apparmor.d/wharf")).unwrap();
    assert_eq!(profile, include_str!("../../../host/apparmor/wharf"));
    assert!(profile.contains("/usr/{,local/}bin/wharf"), "the profile names where the package puts it");
    let usr = root.path().join("usr");
    is_whole(&usr, home.path());
    let said = wharf(&usr, home.path(), &["doctor"]);
    assert_eq!(said.code, 0, "{said:?}");
    let listed = wharf(&usr, home.path(), &["runtime", "list"]).stdout;
    assert!(listed.contains("process") && listed.contains("kubernetes"), "{listed}");
}
