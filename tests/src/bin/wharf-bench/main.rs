//! Measures the cost of wharf, each figure beside its floor in the same run.
//!
//! `cargo run --release -p wharf-tests --bin wharf-bench [-- [--json FILE] [--format json] [TOPIC]...]`; all topics take some
//! minutes, `containers` and `cluster` most of them, on this machine alone. With `--format json` the report is on standard
//! output, and the tables are on standard error. Builds the workspace first where `wharf` is not beside this binary.
//! After changes: `cargo build --release --workspace --exclude wharf-tests`, which has no part of the tests in it.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
mod aims;
mod client;
mod cluster;
mod containers;
mod exits;
mod host;
mod listing;
mod peers;
mod plugins;
mod proxy;
mod servers;
mod starts;
mod supervisors;

use serde_json::{Map, Value};
use std::{
    error::Error, fs::File, io::Write, os::unix::process::CommandExt, process::Command, process::ExitCode,
    time::Duration,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures a topic: prints its table, and returns the same for the JSON file.
type Measure = fn() -> Result<Value>;

/// The topics that can be measured.
const TOPICS: [(&str, Measure); 9] = [
    ("proxy", proxy::measure),
    ("peers", peers::measure),
    ("starts", starts::measure),
    ("supervisors", supervisors::measure),
    ("plugins", plugins::measure),
    ("listing", listing::measure),
    ("exits", exits::measure),
    ("containers", containers::measure),
    ("cluster", cluster::measure),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [servers::ECHO, ..] => servers::echo().map_err(Into::into),
        [servers::BARE] => servers::bare().map_err(Into::into),
        [plugins::LOAD, rack] => plugins::load(rack),
        [listing::READ, state] => listing::read_records(state),
        ref arguments => Options::read(arguments).and_then(|options| bench(&options)),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let _ = writeln!(std::io::stderr(), "wharf-bench: {error}");
    ExitCode::FAILURE
}

/// The wishes of the caller.
#[derive(Default)]
struct Options<'a> {
    /// These topics, or all where none is named.
    topics: Vec<&'a str>,
    /// A file for the report.
    file: Option<&'a str>,
    /// The report is on standard output.
    is_json: bool,
}

impl<'a> Options<'a> {
    fn read(arguments: &[&'a str]) -> Result<Self> {
        const USAGE: &str = "usage: wharf-bench [--json FILE] [--format json] [TOPIC]...";
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--json" => options.file = Some(arguments.next().ok_or(USAGE)?),
                "--format" => match arguments.next() {
                    Some(&"json") => options.is_json = true,
                    _ => return Err(USAGE.into()),
                },
                topic if TOPICS.iter().any(|(known, _)| *known == topic) => options.topics.push(topic),
                unknown => {
                    let known = TOPICS.map(|(known, _)| known).join(", ");
                    return Err(format!("there is no topic '{unknown}'; there are {known}; {USAGE}").into());
                }
            }
        }
        Ok(options)
    }
}

/// Lets all that is printed go to standard error; returns standard output.
fn keep_stdout() -> Result<File> {
    let kept = rustix::io::dup(std::io::stdout())?;
    rustix::stdio::dup2_stdout(std::io::stderr())?;
    Ok(kept.into())
}

fn bench(Options { topics, file, is_json }: &Options<'_>) -> Result<()> {
    if cfg!(debug_assertions) {
        let _ = writeln!(std::io::stderr(), "(This is no release build: the figures mean little.)\n");
    }
    build()?;
    let stdout = is_json.then(keep_stdout).transpose()?;
    let mut report = Map::new();
    for (topic, measure) in TOPICS {
        if topics.is_empty() || topics.contains(&topic) {
            report.insert(topic.to_owned(), measure()?);
            println!();
        }
    }
    let aims = aims::compare(&report)?;
    report.insert("aims".to_owned(), aims);
    let files = file.map(File::create).transpose()?.into_iter().chain(stdout);
    for mut file in files {
        serde_json::to_writer_pretty(&mut file, &report)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// Builds the workspace where that was not done, and begins again: the build may have replaced this very binary, whose path
/// the topics start. The package of the tests is built by itself: the others would be built with what tests need.
fn build() -> Result<()> {
    let own = std::env::current_exe()?;
    if ["wharf", "libwharf_plugin_process.so"].iter().all(|name| own.with_file_name(name).is_file()) {
        return Ok(());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let release = (!cfg!(debug_assertions)).then_some("--release");
    for part in [&["--workspace", "--exclude", "wharf-tests"][..], &["--package", "wharf-tests", "--bins"]] {
        if !Command::new(&cargo).arg("build").args(part).args(release).status()?.success() {
            return Err("the workspace cannot be built".into());
        }
    }
    Err(Command::new(own).args(std::env::args_os().skip(1)).exec().into())
}

/// The median of these times.
fn milliseconds(times: &[Duration]) -> f64 {
    median(times.iter().map(|time| time.as_secs_f64() * 1e3).collect())
}

/// The middle one; of an even number the upper of the two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
