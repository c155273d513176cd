//! [`Material`]: the programs that the cases run. [`Role`]: the scripts for them.
use crate::Source;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The programs that the cases run on the runtime under test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Material {
    /// A program that runs until it is stopped and, where the runtime can attach, writes back what it reads.
    pub source: Source,
    /// The arguments before a script, if the source is, or has, a POSIX shell: `["-c"]` or `["sh", "-c"]`.
    pub shell: Option<Vec<String>>,
    /// A program that listens on a port, and writes back what it reads.
    pub listener: Option<Listener>,
    /// A program that connects to a port.
    pub connector: Option<Connector>,
}

/// A program that listens on a port, and writes back what it reads of each connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// The program.
    pub source: Source,
    /// Its arguments; in each of them `{port}` stands for the port.
    pub args: Vec<String>,
}

impl Listener {
    /// Its arguments for a port.
    pub(super) fn args(&self, port: u16) -> Vec<String> {
        self.args.iter().map(|arg| arg.replace("{port}", &port.to_string())).collect()
    }
}

/// A program that connects to a port, and exits with 0 if it could.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connector {
    /// The program.
    pub source: Source,
    /// Its arguments; in each of them `{port}` stands for the port, and `{hosts}` for addresses with spaces between
    /// them, of which one is enough.
    pub args: Vec<String>,
}

impl Connector {
    /// Its arguments for these addresses and this port.
    pub(super) fn args(&self, addresses: &[IpAddr], port: u16) -> Vec<String> {
        let hosts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        let (hosts, port) = (hosts.join(" "), port.to_string());
        self.args.iter().map(|arg| arg.replace("{hosts}", &hosts).replace("{port}", &port)).collect()
    }
}

/// The behaviour of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role<'a> {
    /// Does nothing until it is stopped.
    Idle,
    /// Does nothing, and ignores the request to end.
    Stubborn,
    /// Writes back what it reads, until that ends.
    Echo,
    /// Ends by itself, after a second, with this code.
    Exit(&'a str),
    /// Ends by itself, after some seconds, with this code: long enough for somebody to see it run.
    Crash(&'a str),
    /// Writes three lines to stderr, a second apart from the last, and idles.
    Say,
    /// Allocates 256 MiB, and exits with 0 if it could.
    Allocate,
    /// Makes 64 processes, and exits with 0 if it could.
    Fork,
    /// Keeps all processors busy for three seconds, and exits with 0 if it got one for at least this many hundredths of a
    /// second.
    Burn(&'a str),
    /// Does nothing until it is asked to end, and then exits with this code.
    Polite(&'a str),
    /// Exits with 0 if it could read this file.
    Read(&'a str),
    /// Exits with 0 if it could write this file.
    Write(&'a str),
}

/// Starts several busy loops, since one alone may share its processor with whatever else the machine does. The kernel gives
/// a process's time in hundredths of a second, in the 14th and the 15th field of its `stat`, proc(5).
const BURN: &str = "least=$1; all=; for i in 1 2 3 4; do (while :; do :; done) & all=\"$all $!\"; done; sleep 3; sum=0; \
                    for burner in $all; do read -r had </proc/$burner/stat; set -- $had; shift 13; \
                    sum=$((sum+$1+$2)); done; kill $all; [ $sum -ge $least ] || exit 9";

impl<'a> Role<'a> {
    /// Its name, script and argument. The name is the script's `$0`, the argument its `$1`.
    const fn script(self) -> (&'static str, &'static str, &'a str) {
        match self {
            Self::Idle => ("idle", "trap 'exit 0' TERM; sleep 3600 & wait", ""),
            Self::Stubborn => ("stubborn", "trap '' TERM; while :; do sleep 1; done", ""),
            Self::Echo => ("echo", "exec cat", ""),
            Self::Exit(code) => ("exit", "sleep 1; exit \"$1\"", code),
            Self::Crash(code) => ("crash", "sleep 4; exit \"$1\"", code),
            Self::Say => ("say", "echo one >&2; echo two >&2; sleep 1; echo three >&2; exec sleep 3600", ""),
            Self::Allocate => ("allocate", "dd if=/dev/zero of=/dev/null bs=256M count=1 || exit 9", ""),
            Self::Fork => (
                "fork",
                "i=0; while [ $i -lt 64 ]; do sleep 5 & all=\"$all $!\"; i=$((i+1)); done; kill $all",
                "",
            ),
            Self::Burn(least) => ("burn", BURN, least),
            Self::Polite(code) => ("polite", "trap 'exit \"$1\"' TERM; sleep 3600 & wait", code),
            Self::Read(path) => ("read", "cat \"$1\" >/dev/null || exit 9", path),
            Self::Write(path) => ("write", "echo written >\"$1\" || exit 9", path),
        }
    }

    /// The arguments of a workload in this role.
    pub(super) fn args(self, material: &Material) -> Vec<String> {
        let Some(shell) = &material.shell else { return Vec::new() };
        let (name, script, argument) = self.script();
        let own = [script, name, argument].map(str::to_owned);
        shell.iter().cloned().chain(own).collect()
    }
}
