//! The workload on a host of its own, and the memory of its processes from `/proc`.
use crate::{Result, servers::ECHO};
use serde::Serialize;
use std::{
    fs, io,
    time::{Duration, Instant},
};
use wharf_tests::host::Host;

/// The name of the one workload, where there is one.
pub(crate) const NAME: &str = "bench";

/// The workload, ready.
pub(crate) struct Running {
    /// Its URL, without `http://`.
    pub(crate) target: String,
    pub(crate) supervisor: u32,
    pub(crate) launcher: u32,
    pub(crate) server: u32,
    /// How long `wharf run` took.
    pub(crate) took: Duration,
}

impl Running {
    /// Runs the stdio server on a host.
    pub(crate) fn start(host: &Host, options: &[&str]) -> Result<Self> {
        Self::start_as(host, NAME, options)
    }

    /// The same under another name.
    pub(crate) fn start_as(host: &Host, name: &str, options: &[&str]) -> Result<Self> {
        let server = std::env::current_exe()?.display().to_string();
        let token = host.path(name).display().to_string();
        let began = Instant::now();
        let run = ["--quiet", "--name", name];
        let url = host.run(&[&run, options, &[&server, "--", ECHO, &token]].concat());
        let took = began.elapsed();
        let target = url.strip_prefix("http://").filter(|rest| rest.ends_with("/mcp"));
        let target = target.ok_or_else(|| format!("wharf run printed {url:?}"))?.to_owned();
        let supervisor = host.record(name)["process_id"].as_u64().ok_or("the record names no supervisor")?;
        let (launcher, server) = launched(&token)?;
        Ok(Self { target, supervisor: u32::try_from(supervisor)?, launcher, server, took })
    }

    /// Removes it.
    pub(crate) fn remove(self, host: &Host) {
        host.ok(&["rm", NAME]);
    }
}

/// The launcher and its child, the server, whose last argument is this path.
fn launched(token: &str) -> Result<(u32, u32)> {
    let ending = format!("\0{ECHO}\0{token}\0");
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        if fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|arguments| arguments.ends_with(&ending))
        {
            let launcher = field(&format!("/proc/{pid}/status"), "PPid")?;
            return Ok((u32::try_from(launcher)?, pid));
        }
    }
    Err("the server is not to be found".into())
}

/// The memory of a process, in KiB. PSS counts a page that several processes share in equal parts.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) pss_kib: u64,
    /// The part in heaps and stacks.
    pub(crate) pss_anon_kib: u64,
    /// The part in files: the binary, libraries.
    pub(crate) pss_file_kib: u64,
    pub(crate) rss_kib: u64,
    pub(crate) threads: u64,
}

/// The memory of a process now.
pub(crate) fn memory(pid: u32) -> io::Result<Memory> {
    let rollup = |name| field(&format!("/proc/{pid}/smaps_rollup"), name);
    Ok(Memory {
        pss_kib: rollup("Pss")?,
        pss_anon_kib: rollup("Pss_Anon")?,
        pss_file_kib: rollup("Pss_File")?,
        rss_kib: rollup("Rss")?,
        threads: field(&format!("/proc/{pid}/status"), "Threads")?,
    })
}

/// The processor time that a process has spent, by all of its threads that live.
pub(crate) fn cpu_time(pid: u32) -> io::Result<Duration> {
    let mut spent = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
        spent += Duration::from_nanos(nanos);
    }
    Ok(spent)
}

/// A number in a file of lines like `Name:  12 kB`.
fn field(path: &str, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let of = |line: &str| line.strip_prefix(name)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok();
    text.lines().find_map(of).ok_or_else(|| io::Error::other(format!("{path} has no {name}")))
}
