//! `import toolhive`: ToolHive's workloads become wharf's where one engine alone proves to have them.
mod files;
mod on_engines;
mod proof;

use std::fs;
use wharf_tests::engine::ScriptedEngine;
use wharf_tests::host::Host;

/// The runtime whose engine can show what others made.
const IMAGES: &str = "scripted-images";
/// A runtime that runs images, built with an SDK without the ability `discover`.
const OLD: &str = "scripted-old-images";
const IMAGE: &str = "example/scripted:1";

/// A host with one engine that can be asked.
fn host() -> (Host, ScriptedEngine) {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, IMAGES);
    (host, engine)
}

fn has_records(host: &Host) -> bool {
    fs::read_dir(host.path("state/runconfigs")).is_ok_and(|mut files| files.next().is_some())
}
