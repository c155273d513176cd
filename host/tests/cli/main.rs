//! The command line as its users meet it: the real binary with a host of its own, with stdout, stderr and exit code looked
//! at together. Commands that need a working runtime are tested in the package `wharf-tests`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails where its surroundings do, and says what it skips"
)]
mod adopt;
mod command_line;
mod completion;
mod conformance;
mod directories;
mod forget;
mod harness;
mod help;
mod logs;
mod pipes;
mod places;
mod plugins;
mod reconcile;
mod records;
mod run;
mod several;
mod terminal;
mod usage;
