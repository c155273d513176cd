//! Output that only a terminal gets.
use crate::harness::{TestHost, run_config};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Command, Stdio};

/// The output of a command on a terminal with this number of columns.
pub(crate) fn shown(mut command: Command, columns: u16) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    tcsetwinsize(&ours, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut child =
        command.stdin(Stdio::null()).stdout(theirs.try_clone().unwrap()).stderr(theirs).spawn().unwrap();
    // Its descriptors of the other end must be closed here for the reading to end.
    drop(command);
    let mut text = Vec::new();
    // Linux reports the end of a terminal as EIO.
    let _ = File::from(ours).read_to_end(&mut text);
    child.wait().unwrap();
    String::from_utf8(text).unwrap().replace("\r\n", "\n")
}

#[test]
fn errors_are_coloured_on_a_terminal_unless_colours_are_unwanted() {
    let host = TestHost::new();
    let status = || host.command(&["status", "time"]);
    assert!(shown(status(), 80).starts_with("\u{1b}[1;31merror:\u{1b}[0m there is no workload"));
    for (variable, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut command = status();
        command.env(variable, value);
        assert!(shown(command, 80).starts_with("error: there is no workload"), "{variable}");
    }
    let mut command = status();
    command.env("NO_COLOR", "");
    assert!(shown(command, 80).contains('\u{1b}'), "an empty NO_COLOR says nothing");
}

#[test]
fn the_help_is_not_coloured_where_colours_are_unwanted() {
    let host = TestHost::new();
    let mut command = host.command(&["--help"]);
    command.env("NO_COLOR", "1");
    assert!(!shown(command, 80).contains('\u{1b}'));
}

#[test]
fn a_list_fits_into_a_narrow_terminal_and_is_whole_elsewhere() {
    let host = TestHost::new();
    let long = "a-package-with-a-very-long-name-that-does-not-fit-into-any-terminal";
    host.write("state/runconfigs/time.json", &run_config("time", "").replace("mcp-server-time", long));
    let list = || host.command(&["list", "--all"]);
    let narrow = shown(list(), 90);
    let row = narrow.lines().nth(1).unwrap();
    assert!(row.starts_with("time ") && row.contains('…') && row.chars().count() <= 90, "{row}");
    assert!(host.wharf(&["list", "--all"]).contains(long));
}

#[test]
fn a_log_cannot_command_a_terminal() {
    let host = TestHost::new();
    host.record("time");
    host.write("state/logs/time.proxy.log", "\u{1b}[32mgreen\u{1b}[0m \u{1b}[2J\u{1b}]0;title\u{7}\tend\n");
    let terminal = shown(host.command(&["logs", "--proxy", "time"]), 80);
    assert_eq!(terminal, "green \\u{1b}[2J\\u{1b}]0;title\\u{7}\tend\n");
    let piped = host.command(&["logs", "--proxy", "time"]).output().unwrap();
    assert!(piped.stdout.starts_with(b"\x1b[32mgreen"), "elsewhere the bytes are as they were written");
}
