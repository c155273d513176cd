//! Images of real MCP servers, made from files of this machine: an interpreter, the libraries that it is linked with, and a
//! server's package as `tests/setup/install` has fetched it. Every file has the same path in the image as here, so that no
//! program must be told of another one. No registry is asked.
use crate::host::{built, has_tool};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// The image with the server that comes with the repository.
pub const DEMO_IMAGE: &str = "localhost/wharf-demo:test";
/// An image with a shell and the programs that scripts of the conformance suite use.
pub const SHELL_IMAGE: &str = "localhost/wharf-shell:test";

/// A root file system, packed, and the command of an image of it.
#[derive(Debug)]
pub struct Image {
    name: &'static str,
    folder: tempfile::TempDir,
    /// As in a Dockerfile.
    changes: Vec<String>,
    architecture: &'static str,
}

/// This machine's architecture, as images name it.
const OWN_ARCHITECTURE: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => "amd64",
    b"aarch64" => "arm64",
    _ => std::env::consts::ARCH,
};

/// The places of Python's parts in the environment that uvx has made for the server, as Python prints them.
#[derive(Deserialize)]
struct Python {
    /// Its own file, not the environment's link to it.
    program: PathBuf,
    standard: PathBuf,
    packages: PathBuf,
    /// The files that it was built with, which no program loads.
    build: Option<PathBuf>,
}

const ASK_PYTHON: &str = "import json, os, sys, sysconfig
program = os.path.realpath(getattr(sys, '_base_executable', sys.executable))
paths = sysconfig.get_paths()
print(json.dumps(dict(program=program, standard=paths['stdlib'], packages=paths['purelib'],
                      build=sysconfig.get_config_var('LIBPL'))))";

impl Image {
    /// The server that comes with the repository and the libraries that it needs, nothing else.
    pub fn of_demo() -> Self {
        Self::of_program(DEMO_IMAGE, &built("wharf-demo-server"))
    }

    /// A program and the libraries that it needs, nothing else.
    pub fn of_program(name: &'static str, program: &Path) -> Self {
        Self::of_programs(name, &[(program, "server")], r#"ENTRYPOINT ["/server"]"#)
    }

    /// The server that comes with the repository behind an init of the image's own, tini, as many published images have it;
    /// none if this machine has no tini, with a message that names `needed_by`. Docker brings one as `docker-init`.
    pub fn of_tini(needed_by: &str) -> Option<Self> {
        if !has_tool(needed_by, "docker-init") {
            return None;
        }
        let (tini, server) = (program("docker-init"), built("wharf-demo-server"));
        let programs = [(tini.as_path(), "tini"), (server.as_path(), "server")];
        Some(Self::of_programs(
            "localhost/wharf-tini:test",
            &programs,
            r#"ENTRYPOINT ["/tini", "--", "/server"]"#,
        ))
    }

    /// These programs, each under its name at the root, and the libraries that they need.
    fn of_programs(name: &'static str, programs: &[(&Path, &str)], entrypoint: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (program, at) in programs {
            for library in libraries(&[(*program).to_owned()]) {
                copy(&library, &folder.path().join(library.strip_prefix("/").expect("an absolute path")));
            }
            copy(program, &folder.path().join(at));
        }
        Self::pack_root(name, folder.path(), vec![entrypoint.to_owned()])
    }

    /// A shell and some programs; none if this machine has no shell that needs no libraries, with a message that names
    /// `needed_by`.
    pub fn of_shell(needed_by: &str) -> Option<Self> {
        const PROGRAMS: [&str; 8] = ["sh", "cat", "dd", "echo", "kill", "nc", "sleep", "id"];
        if !has_tool(needed_by, "busybox") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bin = folder.path().join("bin");
        copy(&program("busybox"), &bin.join("busybox"));
        for program in PROGRAMS {
            std::os::unix::fs::symlink("busybox", bin.join(program)).expect("a link can be made");
        }
        Some(Self::pack_root(SHELL_IMAGE, folder.path(), vec!["ENV PATH=/bin".to_owned()]))
    }

    /// `mcp-server-time` of PyPI with this machine's Python; none where uvx is missing, which is said.
    pub fn of_python() -> Option<Self> {
        if !has_tool("uvx", "uvx") {
            return None;
        }
        let asked = ["--offline", "--quiet", "--from", "mcp-server-time", "python", "-c", ASK_PYTHON];
        let python: Python = serde_json::from_str(&said("uvx", &asked)).expect("Python's answer is JSON");
        let Python { program, standard, packages, build } = python;
        // Packages that other programs of this machine have installed do not belong to the server, and Python's own tests
        // are large.
        let without = ["site-packages", "dist-packages", "test"].map(|name| standard.join(name));
        let without: Vec<PathBuf> = without.into_iter().chain(build).collect();
        let extensions = [standard.join("lib-dynload"), packages.clone()].map(|folder| extensions(&folder));
        let linked = libraries(&[std::slice::from_ref(&program), &extensions.concat()].concat());
        let changes = vec![
            format!("ENV PYTHONPATH={}", packages.display()),
            format!(r#"ENTRYPOINT ["{}", "-m", "mcp_server_time"]"#, program.display()),
        ];
        let parts = [vec![program, standard, packages], linked].concat();
        Some(Self::pack("localhost/wharf-python:test", &parts, &without, changes))
    }

    /// `@modelcontextprotocol/server-everything` of npm with this machine's Node; none where npx is missing, which is
    /// said.
    pub fn of_node() -> Option<Self> {
        const PACKAGE: &str = "--package=@modelcontextprotocol/server-everything";
        if !has_tool("npx", "npx") {
            return None;
        }
        let find = ["-y", "--offline", PACKAGE, "--", "sh", "-c", "command -v mcp-server-everything"];
        let link = PathBuf::from(said("npx", &find));
        let server = fs::canonicalize(&link).expect("npm's link to the server");
        let modules =
            link.ancestors().find(|folder| folder.ends_with("node_modules")).expect("npm's packages");
        let node = PathBuf::from(said("node", &["--print", "fs.realpathSync(process.execPath)"]));
        let changes = vec![format!(r#"ENTRYPOINT ["{}", "{}"]"#, node.display(), server.display())];
        let parts = [vec![node.clone(), modules.to_owned()], libraries(&[node])].concat();
        Some(Self::pack("localhost/wharf-node:test", &parts, &[], changes))
    }

    /// The same under another name, with more changes as in a Dockerfile.
    #[must_use]
    pub fn changed(mut self, name: &'static str, changes: &[&str]) -> Self {
        self.name = name;
        self.changes.extend(changes.iter().map(|change| (*change).to_owned()));
        self
    }

    /// The same under another name, for another architecture, on which none of its programs runs.
    #[must_use]
    pub fn for_architecture(self, name: &'static str, architecture: &'static str) -> Self {
        Self { name, architecture, ..self }
    }

    /// Its name with its tag.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The archive of its root, for engines that make an image of one.
    pub(crate) fn archive(&self) -> PathBuf {
        self.folder.path().join("root.tar")
    }

    pub(crate) fn changes(&self) -> &[String] {
        &self.changes
    }

    /// Writes an archive of the whole image as `docker save` does, for those that take images alone.
    pub(crate) fn save(&self) -> PathBuf {
        let layer = digest(&self.archive());
        let image = json!({
            "architecture": self.architecture,
            "os": "linux",
            "config": self.config(),
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
        });
        let manifest = json!([{ "Config": "image.json", "RepoTags": [self.name], "Layers": ["root.tar"] }]);
        for (name, value) in [("image.json", &image), ("manifest.json", &manifest)] {
            let file = fs::File::create(self.folder.path().join(name));
            file.and_then(|mut file| file.write_all(value.to_string().as_bytes()))
                .expect("a file can be written");
        }
        let saved = self.folder.path().join("saved.tar");
        let mut tar = Command::new("tar");
        tar.arg("--create").arg("--file").arg(&saved).arg("--directory").arg(self.folder.path());
        let packed = tar.args(["manifest.json", "image.json", "root.tar"]).status();
        assert!(packed.is_ok_and(|status| status.success()), "tar");
        saved
    }

    /// The changes as the configuration of an image has them.
    fn config(&self) -> Value {
        let mut config = json!({ "Env": [] });
        for change in &self.changes {
            match change.split_once(' ') {
                Some(("ENTRYPOINT", words)) => {
                    config["Entrypoint"] = serde_json::from_str(words).expect("the words are JSON");
                }
                Some(("ENV", variable)) => {
                    config["Env"].as_array_mut().expect("an array").push(json!(variable));
                }
                _ => panic!("an image cannot be saved with the change {change}"),
            }
        }
        config
    }

    /// All that is in a folder, as root's.
    fn pack_root(name: &'static str, root: &Path, changes: Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = Self { name, folder, changes, architecture: OWN_ARCHITECTURE };
        let mut tar = Command::new("tar");
        tar.args(["--create", "--owner=0", "--group=0", "--mode=a+rX", "--file"]).arg(image.archive());
        let packed = tar.arg("--directory").arg(root).arg(".").status();
        assert!(packed.is_ok_and(|status| status.success()), "tar");
        image
    }

    /// These files and folders, links followed, without those.
    fn pack(name: &'static str, parts: &[PathBuf], without: &[PathBuf], changes: Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = Self { name, folder, changes, architecture: OWN_ARCHITECTURE };
        let inside = |path: &PathBuf| path.strip_prefix("/").expect("an absolute path").to_owned();
        let mut tar = Command::new("tar");
        tar.args(["--create", "--dereference", "--hard-dereference", "--anchored", "--file"]);
        tar.arg(image.archive());
        for path in without {
            tar.arg("--exclude").arg(inside(path));
        }
        let packed = tar.arg("--directory").arg("/").args(parts.iter().map(inside)).status();
        assert!(packed.is_ok_and(|status| status.success()), "tar");
        image
    }
}

/// The SHA-256 of a file, in hexadecimal digits.
fn digest(file: &Path) -> String {
    let mut file = fs::File::open(file).expect("the file can be opened");
    let (mut hasher, mut block) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut block).expect("the file can be read");
        if read == 0 {
            return hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        }
        hasher.update(&block[..read]);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a folder")).expect("a folder can be made");
    fs::copy(from, to).expect("a file can be copied");
}

/// The file of a program that must be in PATH.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let file = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    file.unwrap_or_else(|| panic!("{name} is in PATH"))
}

/// The output of a program that must succeed.
fn said(program: &str, args: &[&str]) -> String {
    let output =
        Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The libraries that a Python loads as it goes, in a folder and all folders in it.
fn extensions(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("a folder of Python's").filter_map(Result::ok);
        for path in entries.map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "so") {
                found.push(path);
            }
        }
    }
    found
}

/// The libraries that programs and libraries are linked with, each once, and the loader that finds them.
pub(crate) fn libraries(of: &[PathBuf]) -> Vec<PathBuf> {
    let output = Command::new("ldd").args(of).output().expect("ldd");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // For several files, each is named at the beginning of a line, with a colon.
    let is_path = |word: &&str| word.starts_with('/') && !word.ends_with(':');
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(is_path));
    let mut paths: Vec<PathBuf> = paths.map(PathBuf::from).collect();
    paths.sort();
    paths.dedup();
    paths
}
