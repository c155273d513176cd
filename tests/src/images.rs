//! Images of real MCP servers, made of what this machine has: an interpreter, the libraries that it is linked with, and a
//! server's package as `tests/setup/install` has fetched it. Everything lies in the image where it lies here, so that
//! nothing has to be told that it was moved. No registry is asked.
use crate::host::has_tool;
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A root file system, packed, and what an image of it is to run.
#[derive(Debug)]
pub struct Image {
    name: &'static str,
    folder: tempfile::TempDir,
    /// As in a Dockerfile.
    changes: Vec<String>,
}

/// What a Python says of itself, in the environment that uvx has made for the server.
#[derive(Deserialize)]
struct Python {
    /// Its own file, not the environment's link to it.
    program: PathBuf,
    standard: PathBuf,
    packages: PathBuf,
    /// What it was built with, which nothing loads.
    build: Option<PathBuf>,
}

const ASK_PYTHON: &str = "import json, os, sys, sysconfig
program = os.path.realpath(getattr(sys, '_base_executable', sys.executable))
paths = sysconfig.get_paths()
print(json.dumps(dict(program=program, standard=paths['stdlib'], packages=paths['purelib'],
                      build=sysconfig.get_config_var('LIBPL'))))";

impl Image {
    /// `mcp-server-time` of PyPI with this machine's Python; none where uvx is missing, which is said.
    pub fn of_python() -> Option<Self> {
        if !has_tool("uvx", "uvx") {
            return None;
        }
        let asked = ["--offline", "--quiet", "--from", "mcp-server-time", "python", "-c", ASK_PYTHON];
        let python: Python = serde_json::from_str(&said("uvx", &asked)).expect("Python's answer is JSON");
        let Python { program, standard, packages, build } = python;
        // What other programs of this machine have installed is not the server's, and Python's own tests are large.
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

    /// What to call it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What engines import.
    pub(crate) fn archive(&self) -> PathBuf {
        self.folder.path().join("root.tar")
    }

    pub(crate) fn changes(&self) -> &[String] {
        &self.changes
    }

    /// These files and folders, links followed, without those.
    fn pack(name: &'static str, parts: &[PathBuf], without: &[PathBuf], changes: Vec<String>) -> Self {
        let image = Self { name, folder: tempfile::tempdir().expect("a temporary folder"), changes };
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

/// What a program that must succeed prints.
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
    // Of several files each is named at the beginning of a line of its own, with a colon.
    let is_path = |word: &&str| word.starts_with('/') && !word.ends_with(':');
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(is_path));
    let mut paths: Vec<PathBuf> = paths.map(PathBuf::from).collect();
    paths.sort();
    paths.dedup();
    paths
}
