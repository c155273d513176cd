//! The aims for the figures, and whether they are met: printed last, for the topics that were measured.
use serde::Serialize;
use serde_json::{Map, Value};

/// One aim: the figure, from the report of its topic, and its bound.
struct Aim {
    topic: &'static str,
    what: &'static str,
    unit: &'static str,
    figure: fn(&Value) -> Option<f64>,
    bound: Bound,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// An aim and the figure that was measured.
#[derive(Serialize)]
struct Judged {
    what: &'static str,
    aim: String,
    found: f64,
    met: bool,
}

const AIMS: [Aim; 15] = [
    at_most("plugins", "a call across the border", "µs", 6.0, |report| report["call_us"].as_f64()),
    at_most("plugins", "the first load of a plugin", "ms", 2.0, |report| report["first_load_ms"].as_f64()),
    at_most("plugins", "a further load", "ms", 2.0, |report| report["further_load_ms"].as_f64()),
    share("one client, 32 B, of bare axum", 0.7, |report| ratio(report, 1, 32)),
    share("one client, 64 KiB, of bare axum", 0.7, |report| ratio(report, 1, 64 * 1024)),
    share("16 clients, 32 B, of bare axum", 0.5, |report| ratio(report, 16, 32)),
    share("16 clients, 64 KiB, of bare axum", 0.5, |report| ratio(report, 16, 64 * 1024)),
    at_most("supervisors", "memory of a supervisor", "MB", 8.0, |report| {
        megabytes(report, "pss_of_first_kib")
    }),
    at_most("supervisors", "memory of 50 supervisors", "MB", 250.0, |report| megabytes(report, "pss_kib")),
    at_most("starts", "run to ready, more than by hand", "ms", 30.0, |report| {
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
    at_most("cluster", "run to ready, more than apply and wait", "ms", 300.0, |report| {
        let stdio = &report["starts"][0];
        Some(stdio["wharf_run_ms"].as_f64()? - stdio["kubectl_ms"].as_f64()?)
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
    Aim { topic, what, unit, figure, bound: Bound::AtMost(bound) }
}

const fn share(what: &'static str, bound: f64, figure: fn(&Value) -> Option<f64>) -> Aim {
    Aim { topic: "proxy", what, unit: "", figure, bound: Bound::AtLeast(bound) }
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

fn megabytes(report: &Value, name: &str) -> Option<f64> {
    Some(report[name].as_f64()? * 1024.0 / 1e6)
}

/// Prints the aims of these reports, by topic; returns the same for the JSON file.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(crate) fn judge(reports: &Map<String, Value>) -> serde_json::Result<Value> {
    let mut judged = Vec::new();
    for Aim { topic, what, unit, figure, bound } in &AIMS {
        let Some(found) = reports.get(*topic).and_then(figure) else { continue };
        let (met, aim) = match bound {
            Bound::AtMost(most) => (found <= *most, format!("at most {most} {unit}")),
            Bound::AtLeast(least) => (found >= *least, format!("at least {least}")),
        };
        judged.push(Judged { what, aim: aim.trim_end().to_owned(), found, met });
    }
    if !judged.is_empty() {
        println!("{:<42} {:<16} {:>8}", "Aims", "aim", "found");
    }
    for Judged { what, aim, found, met } in &judged {
        println!("{what:<42} {aim:<16} {found:>8.2}  {}", if *met { "met" } else { "NOT MET" });
    }
    serde_json::to_value(judged)
}
