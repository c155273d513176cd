//! The command line: parses, calls the command layer, renders. There is one file for each command.
//!
//! Called by `main` alone. It is the only place that looks at the environment and HOME, and the only one that prints:
//! results for people and programs on stdout, everything else on stderr. It must not know how workloads are run, nor any
//! particular runtime.
//!
//! Invariants:
//! - Results are written to the stdout of [`output`], which plugins do not have; nobody else prints there.
//! - Text from servers, engines and records is escaped before a terminal sees it.
//! - An error is printed once, and its kind alone decides the exit code.
//! - A reader that goes away is no error, and never leaves a command half done.
//! - The process ends through [`wharf_runtimes::leave`]: plugins may be loaded.
mod adopt;
mod advice;
mod age;
mod app;
mod argument_paths;
mod bulk;
mod call;
mod completion;
mod console;
mod docker_options;
mod doctor;
mod doctor_apparmor;
mod doctor_linger;
mod doctor_secrets;
mod doctor_state;
mod doctor_writing;
mod edit;
mod edit_arguments;
mod end_signals;
mod environment;
mod escape;
mod export;
mod failure;
mod finding;
mod follow;
mod foreground;
mod from_config;
mod import;
mod installation;
#[cfg(test)]
mod json_forms;
mod junit;
mod known_options;
mod list;
mod log_writer;
mod logs;
mod man_pages;
mod mcp;
mod orphan;
mod output;
mod progress;
mod reconcile;
mod restart;
mod rm;
mod run;
mod run_arguments;
mod run_line;
mod run_options;
mod run_values;
mod runtime;
mod runtime_check;
mod runtime_forget;
mod runtime_test;
mod script;
mod select;
mod serve;
mod serve_unit;
mod shared_arguments;
mod start;
mod status;
mod stop;
mod stop_timeout;
mod table;
mod tools;
mod unit_environment;
mod url;
mod version;

pub(crate) use app::main;
pub(crate) use environment::own_umask;
