//! What is mapped in a process, watched in one of its own (`wharf-test-load`).
use serde_json::{Value, json};
use std::{
    fs::Permissions,
    io::{BufRead, BufReader, Write},
    os::unix::fs::{FileExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};
use wharf_tests::Rack;

/// A user without rights, on every Linux.
const NOBODY: u32 = 65534;

struct Loader {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Loader {
    fn start(mut command: Command, rack: &Rack, names: &[&str]) -> Self {
        command.arg(rack.plugins_dir()).arg(rack.data_dir()).args(names);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next thing that it tells.
    fn told(&mut self) -> Value {
        let line = self.lines.next().expect("it ended before its time").unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn loader() -> PathBuf {
    env!("CARGO_BIN_EXE_wharf-test-load").into()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The loader as a user who is not root, with the rack belonging to that user. None where this user is root and
/// cannot become another one.
#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
fn as_user(rack: &Rack) -> Option<Command> {
    if !is_root() {
        return Some(Command::new(loader()));
    }
    if Command::new("setpriv").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: root needs setpriv (util-linux) to become another user");
        return None;
    }
    let copy = rack.path().join("load");
    std::fs::copy(loader(), &copy).unwrap();
    let open = Permissions::from_mode(0o755);
    std::fs::set_permissions(&copy, open.clone()).unwrap();
    std::fs::set_permissions(rack.path(), open).unwrap();
    let inside = [
        rack.plugins_dir(),
        rack.data_dir(),
        rack.plugins_dir().join("alpha.so"),
        rack.plugins_dir().join("beta.so"),
    ];
    for path in inside.iter().map(PathBuf::as_path).chain([rack.path()]).filter(|path| path.exists()) {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(copy);
    Some(command)
}

/// The libraries that are mapped in place, by file name, and how many memory files.
fn in_place(told: &Value) -> (Vec<String>, u64) {
    let mapped = told["mapped"].as_array().unwrap().iter().filter_map(Value::as_str);
    let name = |path: &str| Path::new(path).file_name().unwrap().to_string_lossy().into_owned();
    (mapped.map(name).collect(), told["memory"].as_u64().unwrap())
}

#[test]
fn a_name_maps_the_one_library_that_has_it_and_a_search_maps_none() {
    let rack = Rack::with(&["alpha", "beta"]);
    let mut loader = Loader::start(Command::new(loader()), &rack, &["beta"]);
    let told = loader.told();
    assert_eq!(told["found"], json!(["alpha", "alpha-two", "beta"]));
    assert_eq!(in_place(&told), (vec![], 0));
    loader.go_on();
    let (files, memory) = in_place(&loader.told());
    if is_root() {
        assert_eq!(
            (files, memory),
            (vec!["beta.so".to_owned()], 0),
            "what only root writes is mapped in place"
        );
    } else {
        assert_eq!((files, memory), (vec![], 1), "what its user can write is copied");
    }
}

#[test]
fn several_memory_files_are_several_libraries() {
    let rack = Rack::with(&["alpha", "beta"]);
    let Some(command) = as_user(&rack) else { return };
    let mut loader = Loader::start(command, &rack, &["beta", "alpha", "alpha-two"]);
    for _ in 0..4 {
        loader.told();
        loader.go_on();
    }
    let told = loader.told();
    assert_eq!(told["instances"], json!(["beta", "alpha", "alpha-two"]));
    assert_eq!(in_place(&told), (vec![], 2), "two names of one library are one library");
}

#[test]
fn a_library_that_its_user_can_write_is_mapped_from_a_copy_that_nobody_can() {
    let rack = Rack::with(&["alpha"]);
    let path = rack.plugins_dir().join("alpha.so");
    let Some(command) = as_user(&rack) else { return };
    let mut loader = Loader::start(command, &rack, &["alpha"]);
    loader.told();
    loader.go_on();
    assert_eq!(in_place(&loader.told()), (vec![], 1));
    // Written over in place: were the file itself mapped, its code would now be zeros.
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let zeros = vec![0; 64 * 1024];
    let length = file.metadata().unwrap().len();
    for at in (0..length).step_by(zeros.len()) {
        file.write_all_at(&zeros, at).unwrap();
    }
    loader.go_on();
    assert_eq!(loader.told()["instances"], json!(["alpha"]));
}
