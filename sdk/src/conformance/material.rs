//! What the cases run: one program that is known to be there, told by scripts what to do.
use crate::Source;
use serde::{Deserialize, Serialize};

/// What the cases run on the runtime under test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Material {
    /// What runs until it is stopped and, where it can be attached to, writes back what it reads.
    pub source: Source,
    /// The arguments before a script, if the source is, or has, a POSIX shell: `["-c"]` or `["sh", "-c"]`.
    pub shell: Option<Vec<String>>,
    /// What listens on a port.
    pub listener: Option<Listener>,
}

/// What listens on a port and accepts connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// What to run.
    pub source: Source,
    /// Its arguments; in each of them `{port}` stands for the port.
    pub args: Vec<String>,
}

/// What a workload does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role<'a> {
    /// Nothing, until it is stopped.
    Idle,
    /// Nothing, and is deaf to being asked to end.
    Stubborn,
    /// Writes back what it reads, until that ends.
    Echo,
    /// Ends by itself, after a second, with this code.
    Exit(&'a str),
    /// Writes three lines to stderr, a second apart from the last, and idles.
    Say,
    /// Allocates 256 MiB, and exits with 0 if it could.
    Allocate,
    /// Makes 64 processes, and exits with 0 if it could.
    Fork,
    /// Exits with 0 if it could read this file.
    Read(&'a str),
    /// Exits with 0 if it could write this file.
    Write(&'a str),
}

impl<'a> Role<'a> {
    /// Its name, script and argument. The name is the script's `$0`, the argument its `$1`.
    const fn script(self) -> (&'static str, &'static str, &'a str) {
        match self {
            Self::Idle => ("idle", "trap 'exit 0' TERM; sleep 3600 & wait", ""),
            Self::Stubborn => ("stubborn", "trap '' TERM; while :; do sleep 1; done", ""),
            Self::Echo => ("echo", "exec cat", ""),
            Self::Exit(code) => ("exit", "sleep 1; exit \"$1\"", code),
            Self::Say => ("say", "echo one >&2; echo two >&2; sleep 1; echo three >&2; exec sleep 3600", ""),
            Self::Allocate => ("allocate", "dd if=/dev/zero of=/dev/null bs=256M count=1 || exit 9", ""),
            Self::Fork => (
                "fork",
                "i=0; while [ $i -lt 64 ]; do sleep 5 & all=\"$all $!\"; i=$((i+1)); done; kill $all",
                "",
            ),
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
