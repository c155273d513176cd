//! Compares real MCP servers of npm and PyPI, started directly, with the same servers behind wharf.
//!
//! `wharf-test-servers [--turns N] [--format json] [NAME]...`: for each server of `tests/servers.json`, or for those that are
//! named, it lists the tools of the server on its own stdin and stdout (`npx -y PACKAGE@VERSION`, `uvx PACKAGE==VERSION`) and
//! through the proxy of `wharf run`, compares their names and schemas, and measures both starts with warm caches: the median
//! of N (3) in turns. It prints a table and a summary, with `--format json` the same as JSON, and the table on standard error.
//!
//! It ends with code 0 if no server differs, and some are the same; with 1 if one differs, or the comparison itself failed; with 2
//! if it is called wrongly. A server that fails directly, too, is told as `not here`, and is no failure: it wants another Node,
//! another Python, or a network that is not there. Servers run one after the other, each on a host and with caches of its
//! own, which are removed after its turn.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
mod direct;
mod list;
mod place;
mod report;
mod through;
mod tools;

use list::Server;
use place::Place;
use report::{Row, Summary, Verdict};
use serde_json::json;
use std::{
    any::Any,
    error::Error,
    io::{self, Write},
    num::NonZeroUsize,
    panic,
    process::ExitCode,
    time::Duration,
};
use tools::{Tools, differences};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: wharf-test-servers [--turns N] [--format json] [NAME]...";
/// Starts of each kind that are measured.
const TURNS: NonZeroUsize = NonZeroUsize::new(3).unwrap();
/// How long a start may take. The first one fetches the package with all that it needs.
const START_WAIT: Duration = Duration::from_secs(300);

/// The wishes of the caller.
struct Options {
    servers: Vec<Server>,
    turns: NonZeroUsize,
    /// The report is on standard output.
    is_json: bool,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let known = list::servers()?;
        let (mut turns, mut is_json, mut servers) = (TURNS, false, Vec::new());
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--turns" => turns = arguments.next().and_then(|text| text.parse().ok()).ok_or(USAGE)?,
                "--format" => match arguments.next().as_deref() {
                    Some("json") => is_json = true,
                    _ => return Err(USAGE.into()),
                },
                option if option.starts_with('-') => return Err(USAGE.into()),
                name => {
                    let unknown = || format!("tests/servers.json has no server '{name}'; {USAGE}");
                    let server = known.iter().find(|server| server.name == name).ok_or_else(unknown)?;
                    servers.push(server.clone());
                }
            }
        }
        Ok(Self { servers: if servers.is_empty() { known } else { servers }, turns, is_json })
    }

    /// Prints a line of the table.
    fn say(&self, line: &str) {
        if self.is_json {
            let _ = writeln!(io::stderr(), "{line}");
        } else {
            println!("{line}");
        }
    }
}

fn main() -> ExitCode {
    match Options::read(std::env::args().skip(1)) {
        Ok(options) => run(&options),
        Err(error) => {
            let _ = writeln!(io::stderr(), "wharf-test-servers: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> ExitCode {
    if cfg!(debug_assertions) {
        let _ = writeln!(io::stderr(), "(This is no release build: the times mean little.)\n");
    }
    options.say(report::HEAD);
    let mut rows = Vec::new();
    for server in &options.servers {
        let row = attempt(server, options.turns);
        options.say(&row.to_string());
        rows.push(row);
    }
    let summary = Summary::of(&rows);
    options.say(&format!("\n{summary}"));
    if options.is_json {
        println!("{:#}", json!({ "servers": rows, "summary": summary }));
    }
    if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Compares one server. What goes wrong with it, whatever that is, is its own row.
fn attempt(server: &Server, turns: NonZeroUsize) -> Row {
    let told = |error: Box<dyn Error>| Row::new(server).ended(Verdict::Failed, &error.to_string());
    match panic::catch_unwind(|| compare(server, turns)) {
        Ok(compared) => compared.unwrap_or_else(told),
        Err(panicked) => Row::new(server).ended(Verdict::Failed, said_in(&*panicked)),
    }
}

/// The message of a panic: helpers of tests panic where a test would fail.
fn said_in(panicked: &(dyn Any + Send)) -> &str {
    let text = panicked.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panicked.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}

/// Starts a server both ways in turns. The first turn fetches the package for each of the two, and is not measured.
fn compare(server: &Server, turns: NonZeroUsize) -> Result<Row> {
    let place = Place::new()?;
    let mut row = Row::new(server);
    let mut listed: Vec<Tools> = Vec::new();
    for turn in 0..=turns.get() {
        let directly = match direct::start(&place, server) {
            Ok(started) => started,
            Err(error) => return Ok(row.ended(Verdict::NotHere, &error.to_string())),
        };
        row.tools = directly.tools.len();
        let through = match through::start(&place, server) {
            Ok(started) => started,
            Err(error) => return Ok(row.ended(Verdict::Different, &format!("only directly: {error}"))),
        };
        let found = differences(&directly.tools, &through.tools);
        // A server whose tools are not the same at each start may be as it was at an earlier one.
        if !found.is_empty() && !listed.contains(&through.tools) {
            return Ok(row.ended(Verdict::Different, &found.join("; ")));
        }
        listed.push(directly.tools);
        if turn > 0 {
            row.directly.push(directly.ready);
            row.through.push(through.ready);
        }
    }
    Ok(row.ended(Verdict::Same, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Options> {
        Options::read(arguments.iter().map(|&argument| argument.to_owned()))
    }

    #[test]
    fn all_servers_are_compared_unless_some_are_named() {
        let all = read(&[]).unwrap();
        assert_eq!(
            (all.servers.len(), all.turns, all.is_json),
            (list::servers().unwrap().len(), TURNS, false)
        );
        let some = read(&["--turns", "1", "time", "--format", "json", "everything"]).unwrap();
        let names: Vec<&str> = some.servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!((names, some.turns.get(), some.is_json), (vec!["time", "everything"], 1, true));
        for wrong in [&["--turns", "0"][..], &["--turns"], &["--format", "xml"], &["--what"], &["no-such"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_panic_is_told_by_its_message() {
        let told =
            |text: String| panic::catch_unwind(move || assert!(text.is_empty(), "{text}")).unwrap_err();
        assert_eq!(said_in(&*told("a text that was made".to_owned())), "a text that was made");
        let plain = panic::catch_unwind(|| assert!(std::process::id() == 0, "a text in the program"));
        assert_eq!(said_in(&*plain.unwrap_err()), "a text in the program");
    }
}
