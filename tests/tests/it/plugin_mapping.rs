//! The libraries that are mapped in a process, seen in one of its own (`wharf-test-load`).
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

    /// The next line of its output.
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

/// The loader as a user who is not root, with the rack belonging to that user. None if this user is root and cannot become
/// another one.
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

/// The numbers of libraries that are mapped in their own place, from kept copies, and from memory files.
fn counts(told: &Value) -> (usize, usize, u64) {
    let mapped = &told["mapped"];
    let many = |kind: &str| mapped[kind].as_array().unwrap().len();
    (many("in_place"), many("copies"), mapped["memory"].as_u64().unwrap())
}

/// The names in the folder of copies.
fn kept(rack: &Rack) -> Vec<String> {
    let entries = std::fs::read_dir(rack.data_dir().join("cache")).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The one copy that is kept.
fn copy(rack: &Rack) -> PathBuf {
    let [name] = kept(rack).try_into().unwrap();
    rack.data_dir().join("cache").join(name)
}

/// Loads `alpha`, and returns the libraries that are mapped then.
fn load_alpha(rack: &Rack) -> (Loader, Value) {
    let mut loader = Loader::start(Command::new(loader()), rack, &["alpha"]);
    loader.told();
    loader.go_on();
    let told = loader.told();
    (loader, told)
}

fn assert_answers(mut loader: Loader) {
    loader.go_on();
    assert_eq!(loader.told()["instances"], json!(["alpha"]));
}

/// Writes over a library in place, as `cp` does: were the file itself mapped, its code would now be zeros.
fn write_over(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let zeros = vec![0; 64 * 1024];
    let length = file.metadata().unwrap().len();
    for at in (0..length).step_by(zeros.len()) {
        file.write_all_at(&zeros, at).unwrap();
    }
    // A shorter one is worse: SIGBUS beyond its end.
    file.set_len(1).unwrap();
}

#[test]
fn a_name_maps_the_one_library_that_has_it_and_a_search_maps_none() {
    let rack = Rack::with(&["alpha", "beta"]);
    let mut loader = Loader::start(Command::new(loader()), &rack, &["beta"]);
    let told = loader.told();
    assert_eq!(told["found"], json!(["alpha", "alpha-two", "beta"]));
    assert_eq!(counts(&told), (0, 0, 0));
    loader.go_on();
    assert_eq!(counts(&loader.told()), (0, 1, 0), "whoever can write it");
}

#[test]
fn several_copies_are_several_libraries() {
    let rack = Rack::with(&["alpha", "beta"]);
    let Some(command) = as_user(&rack) else { return };
    let mut loader = Loader::start(command, &rack, &["beta", "alpha", "alpha-two"]);
    for _ in 0..4 {
        loader.told();
        loader.go_on();
    }
    let told = loader.told();
    assert_eq!(told["instances"], json!(["beta", "alpha", "alpha-two"]));
    assert_eq!(counts(&told), (0, 2, 0), "two names of one library are one library");
}

#[test]
fn several_memory_files_are_several_libraries() {
    let rack = Rack::with(&["alpha", "beta"]);
    std::fs::File::create(rack.data_dir().join("cache")).unwrap();
    let mut loader = Loader::start(Command::new(loader()), &rack, &["beta", "alpha", "alpha-two"]);
    for _ in 0..4 {
        loader.told();
        loader.go_on();
    }
    let told = loader.told();
    assert_eq!(told["instances"], json!(["beta", "alpha", "alpha-two"]));
    assert_eq!(counts(&told), (0, 0, 2));
}

#[test]
fn a_library_that_is_written_over_goes_on_where_it_is_mapped() {
    // Root's own where the tests run as root.
    let rack = Rack::with(&["alpha"]);
    let (loader, told) = load_alpha(&rack);
    assert_eq!(counts(&told), (0, 1, 0));
    write_over(&rack.plugins_dir().join("alpha.so"));
    assert_answers(loader);
}

#[test]
fn a_library_of_a_user_that_is_written_over_goes_on_where_it_is_mapped() {
    let rack = Rack::with(&["alpha"]);
    let Some(command) = as_user(&rack) else { return };
    let mut loader = Loader::start(command, &rack, &["alpha"]);
    loader.told();
    loader.go_on();
    assert_eq!(counts(&loader.told()), (0, 1, 0));
    write_over(&rack.plugins_dir().join("alpha.so"));
    assert_answers(loader);
}

#[test]
fn the_copy_is_its_users_alone_is_named_by_its_digest_and_is_one_for_all_processes() {
    let rack = Rack::with(&["alpha"]);
    let racers: Vec<Loader> =
        (0..6).map(|_| Loader::start(Command::new(loader()), &rack, &["alpha"])).collect();
    // All are started before the first of them may make the copy.
    let racers: Vec<Loader> = racers
        .into_iter()
        .map(|mut racer| {
            racer.told();
            racer
        })
        .map(|mut racer| {
            racer.go_on();
            racer
        })
        .collect();
    let racers: Vec<Loader> = racers
        .into_iter()
        .map(|mut racer| {
            assert_eq!(counts(&racer.told()), (0, 1, 0));
            racer
        })
        .collect();
    let copy = copy(&rack);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(copy.parent().unwrap()), 0o700);
    assert_eq!(mode(&copy), 0o400);
    let output = Command::new("sha256sum").arg(&copy).output().unwrap();
    let digest = String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(copy.file_name().unwrap().to_str(), Some(digest.as_str()));
    // A later process maps the very same file, whose pages they share.
    let (late, told) = load_alpha(&rack);
    assert_eq!(told["mapped"]["copies"], json!([copy]));
    for loader in racers.into_iter().chain([late]) {
        assert_answers(loader);
    }
}

#[test]
fn a_copy_that_is_damaged_is_made_again_and_not_mapped() {
    let rack = Rack::with(&["alpha"]);
    drop(load_alpha(&rack));
    let copy = copy(&rack);
    let whole = std::fs::read(&copy).unwrap();
    // Cut short, as by a full disk; as long as it was, as by a lost machine; exchanged for a link or a folder.
    let cut = |path: &Path| std::fs::File::options().write(true).open(path).unwrap().set_len(4096).unwrap();
    let zeroed = |path: &Path| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.write_all_at(&[0; 4096], whole.len() as u64 / 2).unwrap();
    };
    let linked = |path: &Path| {
        std::fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink(rack.plugins_dir().join("alpha.so"), path).unwrap();
    };
    for spoil in [&cut as &dyn Fn(&Path), &zeroed, &linked] {
        std::fs::set_permissions(&copy, Permissions::from_mode(0o600)).unwrap();
        spoil(&copy);
        if !copy.is_symlink() {
            std::fs::set_permissions(&copy, Permissions::from_mode(0o400)).unwrap();
        }
        let (loader, told) = load_alpha(&rack);
        assert_eq!(told["mapped"]["copies"], json!([copy]));
        assert!(std::fs::read(&copy).unwrap() == whole && !copy.is_symlink());
        assert_answers(loader);
    }
    assert_eq!(kept(&rack).len(), 1);
}

#[test]
fn a_copy_that_has_gone_stays_with_those_who_mapped_it() {
    let rack = Rack::with(&["alpha"]);
    let (first, _) = load_alpha(&rack);
    std::fs::remove_file(copy(&rack)).unwrap();
    let (second, _) = load_alpha(&rack);
    for loader in [first, second] {
        assert_answers(loader);
    }
}

#[test]
fn copies_are_kept_in_no_folder_that_others_write() {
    let rack = Rack::with(&["alpha"]);
    let cache = rack.data_dir().join("cache");
    std::fs::create_dir(&cache).unwrap();
    for mode in [0o777, 0o1777, 0o770] {
        std::fs::set_permissions(&cache, Permissions::from_mode(mode)).unwrap();
        let (loader, told) = load_alpha(&rack);
        assert_eq!(counts(&told), (0, 0, 1), "mode {mode:o}");
        assert_answers(loader);
    }
    assert_eq!(kept(&rack), Vec::<String>::new());
}
