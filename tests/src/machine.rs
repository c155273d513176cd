//! The machine that the tests run on: its processes, and the tools that are on it.
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long a command may take whose end a test waits for. The longest deadline of wharf's own is a deployment's.
pub const COMMAND_WAIT: Duration = Duration::from_secs(660);

/// The output of a command. One that does not end in time is killed, and the test fails with what it has said: a test that
/// waited for ever would say nothing.
///
/// # Panics
/// It cannot be run, or has not ended in time.
pub fn output_of(command: &mut Command, within: Duration) -> Output {
    let told = format!("{command:?}");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{told} cannot be run: {error}"));
    let pid = child.id().cast_signed();
    let (ended, end) = channel();
    // The thread reads both streams to their end, which comes after the process' own where a child of it keeps them.
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    if let Ok(output) = end.recv_timeout(within) {
        return output.unwrap_or_else(|error| panic!("{told}: {error}"));
    }
    let was_running = runs(pid);
    kill(pid, "KILL");
    let said = end.recv_timeout(Duration::from_secs(10));
    panic!("{told} has not ended within {} s; it ran: {was_running}; it said: {said:?}", within.as_secs());
}

/// Sends a signal by name.
pub fn kill(pid: i32, signal: &str) {
    let _ =
        Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Whether a process has a file of this folder open: launchers have no environment, and write a log.
pub(crate) fn has_open(pid: i32, folder: &str) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target.starts_with(folder))
}

/// Whether a process has ended and was not reaped yet.
pub(crate) fn is_zombie(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')))
}

/// The process in the pid namespace of `neighbour` that has this number there.
pub fn process_of(neighbour: i32, inside: i32) -> Option<i32> {
    let space = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = space(neighbour)?;
    let number = |pid: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        numbers.split_whitespace().last()?.parse::<i32>().ok()
    };
    let all = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut all = all.filter(|&pid: &i32| space(pid).as_ref() == Some(&wanted));
    all.find(|&pid| number(pid) == Some(inside))
}

/// The program of a workload by its process on record. In a pid namespace that is a relay, whose one child is the program.
pub fn program_of(recorded: i32) -> i32 {
    let parent = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut all = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    all.find(|&pid| parent(pid) == Some(recorded)).unwrap_or(recorded)
}

/// Whether a process runs.
pub fn runs(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists() && !is_zombie(pid)
}

/// True if a tool that a test needs is there. Where it is missing, says so, or fails if it is required by name in
/// `WHARF_TEST_REQUIRE`.
pub fn has_tool(name: &str, program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !is_there {
        let how = "tests/setup/install (then read its env.sh) or tests/engines/install brings it";
        skip(name, &format!("{program} is not in PATH; {how}"));
    }
    is_there
}

/// Prints why a test is skipped; fails if the missing tool is required by name in `WHARF_TEST_REQUIRE`.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn skip(name: &str, reason: &str) {
    let required = std::env::var("WHARF_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|required| required == name), "{name} is required here: {reason}");
    eprintln!("skipped: {reason}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_does_not_end_fails_its_test_with_what_it_has_said() {
        let output = output_of(Command::new("sh").args(["-c", "echo said; exit 3"]), Duration::from_secs(60));
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), &b"said\n"[..]));
        let waits = || {
            let mut command = Command::new("sh");
            output_of(command.args(["-c", "echo begun; exec sleep 600"]), Duration::from_secs(1))
        };
        let why = std::panic::catch_unwind(waits).unwrap_err();
        let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(why.contains("has not ended within 1 s") && why.contains(r#"stdout: "begun\n""#), "{why}");
    }
}
