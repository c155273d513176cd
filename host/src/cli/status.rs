//! `status`.
use super::advice;
use super::age::{age, duration};
use super::console::{Console, Format};
use super::escape;
use super::failure::{DONE, Outcome};
use super::list::shown_status;
use super::table::{cut, wrapped};
use clap::Args;
use jiff::Timestamp;
use wharf::commands::{self, Context, StatusReport, WorkloadView};
use wharf_model::{LastExit, StatusRecord, WorkloadName};
use wharf_sdk::{Measure, OpenPaths};
use wharf_supervisor::{SupervisorReport, Undelivered};

const EXAMPLES: &str = "Examples:
  wharf status time
  wharf status time --format json";

/// Show one workload in depth: what is recorded, what its runtime and its supervisor say
///
/// The secret part of its URL is left out, so that what is printed can be shown to others: `wharf url` prints it.
///
/// JSON: an object of workload (as in the list), runtime_endpoint, recorded, confinement (enforced, weaker: arrays of what,
/// how; paths: write, read, system: arrays of the paths that are open), supervisor (pid, version, uptime_ms, restarts,
/// ping_us, ping_error, undelivered: array of what, why, count, last_end). Keys are absent when empty.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Status {
    /// The workload's name
    name: WorkloadName,
    /// Print everything whole, whatever the width of the terminal
    #[arg(long)]
    wide: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

impl Status {
    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let report = commands::status(context, &self.name).await?;
        match self.format {
            Format::Json => console.json(&report)?,
            Format::Text => {
                let rows = rows(&report, Timestamp::now());
                let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0) + 1;
                let columns = console.columns.filter(|_| !self.wide);
                for (key, value) in rows {
                    for line in lines(key, &escape::line(&value), width, columns) {
                        console.line(&line)?;
                    }
                }
            }
        }
        Ok(DONE)
    }
}

/// Rows that are read as sentences: on a narrow terminal they are wrapped, and all others cut.
const SENTENCES: [&str; 4] = ["Reason", "Stale because", "Advice", "Ended because"];

/// A row as lines of a terminal of so many columns.
fn lines(key: &str, value: &str, width: usize, columns: Option<usize>) -> Vec<String> {
    let first = format!("{:width$}  ", format!("{key}:"));
    let indent = width + 2;
    let values = match columns {
        Some(columns) if SENTENCES.contains(&key) => wrapped(value, columns.saturating_sub(indent).max(20)),
        Some(columns) => vec![cut(value, columns.saturating_sub(indent).max(1))],
        None => vec![value.to_owned()],
    };
    let rest = " ".repeat(indent);
    values
        .iter()
        .enumerate()
        .map(|(at, value)| format!("{}{value}", if at == 0 { &first } else { &rest }))
        .collect()
}

/// The reason for its state, and the next steps.
fn reason(row: &WorkloadView) -> String {
    if row.status_context.is_empty() {
        String::new()
    } else {
        advice::after(&row.status_context, &row.advice)
    }
}

fn rows(report: &StatusReport, now: Timestamp) -> Vec<(&'static str, String)> {
    let row = &report.workload;
    let mut rows = vec![
        ("Name", row.name.clone()),
        ("Status", shown_status(row)),
        ("Reason", reason(row)),
        ("Stale because", row.stale_reason.clone()),
        ("URL", row.url.clone()),
        ("Unix socket", row.unix_socket.as_ref().map(|path| path.display().to_string()).unwrap_or_default()),
        ("Package", row.package.clone()),
        ("Runtime", row.runtime_name.clone()),
        ("Instance", row.runtime_instance.clone()),
        ("Endpoint", report.runtime_endpoint.clone()),
        ("Group", row.group.clone()),
        (
            "Labels",
            row.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", "),
        ),
        ("Session servers", session_servers(row)),
        ("Created", moment(row.created_at, now)),
        ("Started", moment(row.started_at, now)),
    ];
    if let Some(recorded) = &report.recorded {
        rows.extend(recorded_rows(recorded, now));
    }
    if let Some(confinement) = &report.confinement {
        rows.push(("Enforced", measures(&confinement.enforced)));
        rows.push(("Not enforced", measures(&confinement.weaker)));
        if let Some(paths) = &confinement.paths {
            rows.push(("Writes", paths.write.join(", ")));
            rows.push(("Reads", read(paths)));
        }
    }
    rows.extend(supervisor_rows(report.supervisor.as_ref()));
    if row.status_context.is_empty() {
        rows.push(("Advice", advice::line(&row.advice)));
    }
    rows.push(("Ended because", report.supervisor_end.clone().unwrap_or_default()));
    rows.push(("Uid", row.uid.clone()));
    rows.retain(|(_, value)| !value.is_empty());
    rows
}

/// The servers of its sessions, each by the runtime's own name.
fn session_servers(row: &WorkloadView) -> String {
    let servers = row.session_servers.iter();
    servers.map(|server| format!("{} ({})", server.object, server.state)).collect::<Vec<_>>().join(", ")
}

/// The files that it may read. The system's own are only counted: they are many, and the same for all.
fn read(paths: &OpenPaths) -> String {
    let system = match paths.system.len() {
        0 => None,
        count => Some(format!("{count} of the system's (--format json lists them)")),
    };
    paths.read.iter().cloned().chain(system).collect::<Vec<_>>().join(", ")
}

pub(super) fn measures(measures: &[Measure]) -> String {
    let texts = measures.iter().map(|measure| format!("{} ({})", measure.what, measure.how));
    texts.collect::<Vec<_>>().join(", ")
}

fn recorded_rows(recorded: &StatusRecord, now: Timestamp) -> Vec<(&'static str, String)> {
    let desired = match recorded.desired {
        wharf_model::Desired::Running => "running",
        wharf_model::Desired::Stopped => "stopped",
    };
    let exit = recorded.last_exit.as_ref().map(|exit| last_exit(exit, now)).unwrap_or_default();
    vec![("Recorded", format!("{}, to be {desired}", recorded.phase)), ("Last exit", exit)]
}

fn last_exit(exit: &LastExit, now: Timestamp) -> String {
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "not known".to_owned(),
    };
    let reason = exit.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{how}{reason}, {}", age(exit.at, now))
}

fn supervisor_rows(supervisor: Option<&SupervisorReport>) -> Vec<(&'static str, String)> {
    let Some(supervisor) = supervisor else { return vec![("Supervisor", "none".to_owned())] };
    let answer = match supervisor.ping_us {
        Some(micros) => format!("in {}.{:03} ms", micros / 1000, micros % 1000),
        None if supervisor.ping_error.is_empty() => String::new(),
        None => format!("none: {}", supervisor.ping_error),
    };
    let uptime = if supervisor.uptime_ms == 0 { String::new() } else { duration(supervisor.uptime_ms) };
    vec![
        ("Supervisor", format!("process {}, wharf {}", supervisor.pid, supervisor.version)),
        ("Uptime", uptime),
        ("Restarts", supervisor.restarts.to_string()),
        ("Last end", supervisor.last_end.clone()),
        ("Server answers", answer),
        ("Not delivered", undelivered(&supervisor.undelivered)),
    ]
}

/// The server's messages that reached no client.
fn undelivered(all: &[Undelivered]) -> String {
    let texts = all.iter().map(|one| format!("{} x {} ({})", one.count, one.what, one.why));
    texts.collect::<Vec<_>>().join(", ")
}

fn moment(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map(|then| format!("{then:.0} ({})", age(then, now))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn on_a_narrow_terminal_sentences_are_wrapped_and_the_rest_is_cut() {
        assert_eq!(lines("Reads", "/a, /b, /c", 8, None), ["Reads:    /a, /b, /c"]);
        assert_eq!(lines("Reads", "/a, /b, /c", 8, Some(16)), ["Reads:    /a, /…"]);
        assert_eq!(
            lines("Reason", "it ended with code 1 before", 8, Some(30)),
            ["Reason:   it ended with code 1", "          before"]
        );
    }
}
