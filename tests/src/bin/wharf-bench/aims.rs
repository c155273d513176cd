//! The aims for the figures, and whether they are met: printed last, for the topics that were measured.
use serde::Serialize;
use serde_json::{Map, Value};

/// One aim: the figure, from the report of its topic, and the most that it may be.
struct Aim {
    topic: &'static str,
    what: &'static str,
    unit: &'static str,
    figure: fn(&Value) -> Option<f64>,
    bound: f64,
}

/// An aim and the figure that was measured.
#[derive(Serialize)]
struct Compared {
    what: &'static str,
    aim: String,
    found: f64,
    met: bool,
}

const AIMS: [Aim; 23] = [
    at_most("plugins", "a call across the border", "µs", 6.0, |report| report["call_us"].as_f64()),
    at_most("plugins", "the load of a plugin that was seen", "ms", 2.0, |report| report["seen_ms"].as_f64()),
    at_most("plugins", "the load of a further one", "ms", 2.0, |report| report["further_ms"].as_f64()),
    at_most("proxy", "one client, 32 B, of both floors", "x", 1.15, |report| ratio(report, 1, 32)),
    at_most("proxy", "one client, 64 KiB, of both floors", "x", 1.15, |report| ratio(report, 1, 64 * 1024)),
    at_most("proxy", "16 clients, 32 B, of both floors", "x", 1.15, |report| ratio(report, 16, 32)),
    at_most("proxy", "16 clients, 64 KiB, of both floors", "x", 1.15, |report| ratio(report, 16, 64 * 1024)),
    at_most("proxy", "memory of a supervisor after the load", "MB", 9.0, |report| {
        let is_it = |row: &&Value| row["process"] == "supervisor" && row["when"] == "after the load";
        megabytes(report["memory"].as_array()?.iter().find(is_it)?, "pss_kib")
    }),
    at_most("supervisors", "memory of a supervisor", "MB", 8.0, |report| {
        megabytes(report, "pss_of_first_kib")
    }),
    at_most("supervisors", "memory of 50 supervisors", "MB", 250.0, |report| megabytes(report, "pss_kib")),
    at_most("starts", "run to ready, more than by hand", "ms", 20.0, |report| {
        Some(report["wharf_run_ms"].as_f64()? - report["by_hand_ms"].as_f64()?)
    }),
    at_most("listing", "an empty list, more than a process start", "ms", 5.0, |report| {
        let empty = row(report, 0)?;
        Some(empty["list_ms"].as_f64()? - empty["start_alone_ms"].as_f64()?)
    }),
    at_most("listing", "list of 10,000, times reading the files", "x", 2.0, |report| {
        row(report, 10_000)?["ratio"].as_f64()
    }),
    at_most("exits", "from an exit to its record", "ms", 50.0, |report| report["recorded_ms"].as_f64()),
    at_most("containers", "list of Podman's containers", "ms", 15.0, |report| {
        of_engine(&report["lists"], "podman")?["wharf_list_ms"].as_f64()
    }),
    at_most("containers", "Docker's run, times its client's", "x", 1.15, |report| started(report, "docker")),
    at_most("containers", "Podman's run, times its client's", "x", 1.6, |report| started(report, "podman")),
    at_most("containers", "Podman's run on stdio, times its client's", "x", 1.6, |report| {
        started_over(report, "podman", "stdio")
    }),
    at_most("containers", "Docker's logs -n 5, times its client's", "x", 2.0, |report| {
        of_engine(&report["logs"], "docker")?["ratio"].as_f64()
    }),
    at_most("containers", "Podman's logs -n 5, times its client's", "x", 2.0, |report| {
        of_engine(&report["logs"], "podman")?["ratio"].as_f64()
    }),
    at_most("cluster", "run to ready on stdio, more than apply and wait", "ms", 300.0, |report| {
        more_than_kubectl(report, "stdio")
    }),
    at_most("cluster", "run to ready on a port, more than apply and wait", "ms", 300.0, |report| {
        more_than_kubectl(report, "port")
    }),
    at_most("cluster", "requests of a list of 100 pods' workloads", "", 2.0, |report| {
        let requests = report["list"]["requests"].as_object()?.values();
        Some(requests.filter_map(Value::as_f64).sum())
    }),
];

const fn at_most(
    topic: &'static str,
    what: &'static str,
    unit: &'static str,
    bound: f64,
    figure: fn(&Value) -> Option<f64>,
) -> Aim {
    Aim { topic, what, unit, figure, bound }
}

fn ratio(report: &Value, clients: usize, payload: usize) -> Option<f64> {
    let is_it = |row: &&Value| {
        row["target"] == "wharf" && row["clients"] == clients && row["payload_bytes"] == payload
    };
    report["requests"].as_array()?.iter().find(is_it)?["ratio"].as_f64()
}

fn row(report: &Value, workloads: usize) -> Option<&Value> {
    report.as_array()?.iter().find(|row| row["workloads"] == workloads)
}

fn of_engine<'a>(rows: &'a Value, engine: &str) -> Option<&'a Value> {
    rows.as_array()?.iter().find(|row| row["engine"] == engine)
}

/// A start of a container with a port, as a multiple of the engine's own client's.
fn started(report: &Value, engine: &str) -> Option<f64> {
    started_over(report, engine, "port")
}

fn started_over(report: &Value, engine: &str, over: &str) -> Option<f64> {
    let is_it = |row: &&Value| row["engine"] == engine && row["over"] == over;
    let row = report["starts"].as_array()?.iter().find(is_it)?;
    Some(row["wharf_run_ms"].as_f64()? / row["client_run_ms"].as_f64()?)
}

/// How much longer the start of a pod takes than `kubectl apply` and `kubectl wait`.
fn more_than_kubectl(report: &Value, over: &str) -> Option<f64> {
    let row = report["starts"].as_array()?.iter().find(|row| row["over"] == over)?;
    Some(row["wharf_run_ms"].as_f64()? - row["kubectl_ms"].as_f64()?)
}

fn megabytes(report: &Value, name: &str) -> Option<f64> {
    Some(report[name].as_f64()? * 1024.0 / 1e6)
}

/// Prints the aims of these reports, by topic; returns the same for the JSON file.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(crate) fn compare(reports: &Map<String, Value>) -> serde_json::Result<Value> {
    let mut compared = Vec::new();
    for Aim { topic, what, unit, figure, bound } in &AIMS {
        let Some(found) = reports.get(*topic).and_then(figure) else { continue };
        let (met, aim) = (found <= *bound, format!("at most {bound} {unit}"));
        compared.push(Compared { what, aim, found, met });
    }
    if !compared.is_empty() {
        println!("{:<48} {:<16} {:>8}", "Aims", "aim", "found");
    }
    for Compared { what, aim, found, met } in &compared {
        println!("{what:<48} {aim:<16} {found:>8.2}  {}", if *met { "met" } else { "NOT MET" });
    }
    serde_json::to_value(compared)
}
