//! `wharf list --all` beside a program that only opens and reads the same files, and beside a process that does
//! nothing. Whole processes, in turns.
use crate::{
    Result,
    host::{NAME, Running},
    milliseconds,
};
use serde::Serialize;
use serde_json::{Value, to_value};
use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use wharf_tests::{copy_workload, host::Host, remove_copies};

/// The argument that makes this binary the reader of a state directory.
pub(crate) const READ: &str = "--read-records";

const SIZES: [usize; 3] = [0, 1_000, 10_000];
const ROUNDS: usize = 15;
/// The runtimes of the workloads, in turn.
const RUNTIMES: [&str; 3] = ["process", "alpha", "beta"];

/// One size, in milliseconds of whole processes.
#[derive(Serialize)]
struct Listed {
    workloads: usize,
    list_ms: f64,
    list_json_ms: f64,
    /// Every record opened and read, and nothing made of it.
    read_alone_ms: f64,
    /// `wharf version`: a process that reads nothing.
    start_alone_ms: f64,
    ratio: f64,
}

/// Measures all sizes.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(crate) fn measure() -> Result<Value> {
    let host = Host::new();
    for name in ["alpha", "beta"] {
        host.add_test_plugin(name);
    }
    // The host has an id and its folders, and no workload.
    Running::start(&host, &[])?.remove(&host);
    println!("Listing, medians of {ROUNDS} processes in turns, in ms");
    println!("workloads  list --all  as JSON  files read alone  wharf version  ratio");
    let mut rows = Vec::new();
    let mut made = 0;
    for workloads in SIZES {
        if made == 0 && workloads > 0 {
            // Stopped, as most of ten thousand would be: its records are copied.
            Running::start(&host, &[])?;
            host.ok(&["stop", NAME]);
            made = 1;
        }
        if workloads > made {
            copy_workload(&host, NAME, made..workloads, &RUNTIMES);
        }
        made = workloads;
        let row = listed(&host, workloads)?;
        let Listed { list_ms, list_json_ms, read_alone_ms, start_alone_ms, ratio, .. } = row;
        println!(
            "{workloads:>9} {list_ms:>11.1} {list_json_ms:>8.1} {read_alone_ms:>17.1} {start_alone_ms:>14.1} {ratio:>6.2}"
        );
        rows.push(row);
    }
    remove_copies(&host);
    Ok(to_value(rows)?)
}

fn listed(host: &Host, workloads: usize) -> Result<Listed> {
    let found = host.list().len();
    if found != workloads {
        return Err(format!("{found} workloads were listed, and there are {workloads}").into());
    }
    let (mut list, mut json, mut read, mut start) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        list.push(took(&mut host.command(&["list", "--all"]))?);
        let mut reader = Command::new(std::env::current_exe()?);
        read.push(took(reader.arg(READ).arg(host.path("state")))?);
        json.push(took(&mut host.command(&["list", "--all", "--format", "json"]))?);
        start.push(took(&mut host.command(&["version"]))?);
    }
    let (list_ms, read_alone_ms) = (milliseconds(&list), milliseconds(&read));
    Ok(Listed {
        workloads,
        list_ms,
        list_json_ms: milliseconds(&json),
        read_alone_ms,
        start_alone_ms: milliseconds(&start),
        ratio: list_ms / read_alone_ms,
    })
}

/// How long a process takes that must succeed.
pub(crate) fn took(command: &mut Command) -> Result<Duration> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status()?;
    let took = began.elapsed();
    if status.success() { Ok(took) } else { Err(format!("{command:?} failed: {status}").into()) }
}

/// Opens and reads every record of a state directory.
pub(crate) fn read_records(state: &str) -> Result<()> {
    let mut room = vec![0; 64 * 1024];
    for folder in ["runconfigs", "statuses"] {
        for entry in fs::read_dir(Path::new(state).join(folder))? {
            // One read is enough for the records of this bench.
            let length = File::open(entry?.path())?.read(&mut room)?;
            if length == 0 || length == room.len() {
                return Err("a record is empty, or too long".into());
            }
        }
    }
    Ok(())
}
