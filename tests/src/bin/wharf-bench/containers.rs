//! Containers, on a Docker and a Podman of the bench's own (`tests/engines`), beside the engines' own clients: how long a
//! start takes, alone and among many, a list of many, how soon an end is on record, the end of a log, and the first answer after
//! an engine's restart. Most of it in turns, the engines too.
mod back;
mod exits;
mod listing;
mod logs;
mod many;
mod starts;

use crate::Result;
use serde_json::{Value, json};
use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};
use wharf_tests::{
    engines::{DEMO_IMAGE, Engine, Kind},
    host::Host,
};

/// An engine, and a host that knows no other one.
struct Side {
    engine: Engine,
    host: Host,
}

impl Side {
    /// None where this machine cannot have such an engine.
    fn start(kind: Kind) -> Result<Option<Self>> {
        let Some(engine) = Engine::start(kind) else { return Ok(None) };
        let host = Host::new();
        host.add_plugin("docker");
        let side = Self { engine, host };
        side.lead_to(&side.engine.socket())?;
        let endpoint = format!("unix://{}", side.place().display());
        let mut runtimes = serde_json::Map::new();
        runtimes.insert(side.name().to_owned(), json!({ "endpoint": endpoint }));
        side.host.configure(&json!({ "runtimes": runtimes }));
        Ok(Some(side))
    }

    fn name(&self) -> &'static str {
        self.engine.kind().runtime()
    }

    /// The host's path to its engine: a link, so that a tap can be put between them.
    fn place(&self) -> PathBuf {
        self.host.path("engine.sock")
    }

    fn lead_to(&self, socket: &Path) -> io::Result<()> {
        match fs::remove_file(self.place()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => symlink(socket, self.place()),
        }
    }

    /// Runs the demo server as a workload; returns its URL.
    fn run(&self, name: &str, options: &[&str]) -> String {
        let run = ["--quiet", "--runtime", self.name(), "--name", name];
        self.host.run(&[&run, options, &[DEMO_IMAGE]].concat())
    }

    /// The container of a workload.
    fn container(&self, name: &str) -> Result<String> {
        let uid = self.host.record(name)["uid"].as_str().ok_or("the record has no uid")?.to_owned();
        let filter = format!("label=wharf.uid={uid}");
        Ok(self.engine.client(&["ps", "--quiet", "--no-trunc", "--filter", &filter]).trim().to_owned())
    }
}

/// Measures all of it.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(crate) fn measure() -> Result<Value> {
    let mut sides = Vec::new();
    for kind in [Kind::Docker, Kind::Podman] {
        match Side::start(kind)? {
            Some(side) => sides.push(side),
            None => println!("{} is not measured: it is not installed, or this is not root.", kind.runtime()),
        }
    }
    if sides.is_empty() {
        return Ok(json!({}));
    }
    let starts = starts::measure(&sides)?;
    println!();
    let exits = exits::measure(&sides)?;
    println!();
    let lists = listing::measure(&sides)?;
    println!();
    let logs = logs::measure(&sides)?;
    println!();
    let many = many::measure(&sides)?;
    println!();
    let back = back::measure(&mut sides)?;
    Ok(json!({ "starts": starts, "exits": exits, "lists": lists, "logs": logs, "many": many, "back": back }))
}
