//! Other processes for the tests of locks and modes: this test binary is started again and runs one of its tests as a
//! program.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::fs::Mode;

use crate::*;
use wharf_model::{RunConfig, StatusRecord, Uid, WorkloadName};

const ROLE: &str = "WHARF_TEST_ROLE";
const ROOT: &str = "WHARF_TEST_ROOT";
const PROGRAM: &str = "file::test_process::the_program_of_a_test_process";

pub(crate) fn name(text: &str) -> WorkloadName {
    WorkloadName::new(text).unwrap()
}

/// The path of a FIFO below `root`. A process that inherited a lock reads it to its end, and then ends itself.
pub(crate) fn leash(root: &Path) -> PathBuf {
    root.join("leash")
}

pub(crate) fn command(role: &str, root: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", PROGRAM]).env(ROLE, role).env(ROOT, root);
    command
}

/// A process in a role. Holding its stdin and stdout open keeps it alive and lets it write.
pub(crate) struct TestProcess {
    pub(crate) child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl TestProcess {
    /// Waits until it ends, which must be a success.
    pub(crate) fn succeeds(mut self) {
        drop(self.child.stdin.take());
        assert!(self.output.all(|line| line.is_ok()) && self.child.wait().unwrap().success());
    }
}

/// Starts a process in a role, and returns when it has printed `word`.
pub(crate) fn start(role: &str, root: &Path, word: &str) -> TestProcess {
    let mut child = command(role, root).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = output.by_ref().map(Result::unwrap).any(|line| line.ends_with(word));
    assert!(said, "{role} ended without saying {word}");
    TestProcess { child, output }
}

/// Writes to stdout directly, since the test harness captures `println!`.
fn say(word: &str) {
    writeln!(std::io::stdout(), "{word}").unwrap();
}

fn wait_for_end_of(mut stream: impl Read) {
    stream.read_to_end(&mut Vec::new()).unwrap();
}

#[expect(clippy::zombie_processes, reason = "the heir outlives the ancestor, which is its point")]
#[test]
fn the_program_of_a_test_process() {
    let (Ok(role), Ok(root)) = (std::env::var(ROLE), std::env::var(ROOT)) else { return };
    let root = Path::new(&root);
    let state = StateDir::new(root.join("state"));
    match role.as_str() {
        "life" => {
            let _held = LifeLock::try_acquire(&state, &name("time")).unwrap();
            say("alive");
            wait_for_end_of(std::io::stdin());
        }
        "ancestor" => {
            let held = OperationLock::try_acquire(&state, &name("time")).unwrap();
            let descriptor = held.into_fd().unwrap();
            command("heir", root).stdin(Stdio::from(descriptor)).spawn().unwrap();
        }
        "heir" => {
            let descriptor = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
            let held = OperationLock::from_fd(&state, &name("time"), descriptor).unwrap();
            say("inherited");
            wait_for_end_of(OpenOptions::new().read(true).open(leash(root)).unwrap());
            drop(held);
        }
        "umask-0" | "umask-077" | "umask-0777" => {
            rustix::process::umask(match role.as_str() {
                "umask-0" => Mode::empty(),
                "umask-077" => Mode::RWXG | Mode::RWXO,
                _ => Mode::RWXU | Mode::RWXG | Mode::RWXO,
            });
            let store = Store::new(state.clone());
            let uid = Uid::random().unwrap();
            store.create_run_config(&RunConfig::new(uid.clone(), name("time"), "cat")).unwrap();
            store
                .update_status(&name("time"), &uid, |_| Ok::<_, StoreError>(StatusRecord::new(uid.clone())))
                .unwrap();
            state.make_host_id().unwrap();
            state.make_logs().unwrap();
            state.make_control().unwrap();
        }
        other => panic!("no role {other}"),
    }
}
