//! Finds a workload that was run over stdio and serves a port instead: it would be waited for in vain.
use crate::deployment::Deployment;
use std::time::Duration;
use tokio::time::Instant;
use wharf_model::{Advice, Error, ErrorKind, Setting};
use wharf_sdk::{Handle, LogOptions};

/// How often its output is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long it may go on without an answer after its output has named a port at which it serves MCP: it may serve both.
const PATIENCE: Duration = Duration::from_secs(6);
/// The lines and bytes that are looked at.
const LINES: u64 = 100;
const MAX_BYTES: u64 = 64 * 1024;

/// The words before a port in what servers write when they listen, in small letters.
const SAID: [&str; 8] = [
    "uvicorn running on",
    "listening on",
    "listening at",
    "running on",
    "running at",
    "serving on",
    "serving mcp on",
    "started on",
];

/// Words before those, in small letters, of a port that is for something else.
const OTHER_ENDS: [&str; 8] =
    ["metric", "prometheus", "telemetry", "health", "debugger", "inspector", "profil", "pprof"];
/// Words among [`SAID`] of servers that serve MCP at their port.
const SAID_OF_MCP: [&str; 2] = ["uvicorn running on", "serving mcp on"];

/// A line of output that names the port on which the workload listens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listening {
    port: u16,
    line: String,
    /// It says that MCP is served there.
    says_mcp: bool,
}

impl Listening {
    /// How long the workload may go on without an answer. A port may be for anything, if nothing else is said of it, and a start
    /// takes its time.
    fn patience(&self, start_timeout: Duration) -> Duration {
        if self.says_mcp { PATIENCE } else { PATIENCE.max(start_timeout / 2) }
    }
}

impl Deployment {
    /// Resolves once the output of a workload has named a port for some time.
    pub(crate) async fn listens_instead(&self, handle: &Handle) -> Listening {
        let mut since = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let options = LogOptions { tail: Some(LINES), ..LogOptions::default() };
            let output = self.output(handle, options, MAX_BYTES).await.unwrap_or_default();
            let Some(listening) = most_telling(&output) else { continue };
            let since = *since.get_or_insert_with(Instant::now);
            if since.elapsed() >= listening.patience(self.config.settings.start_timeout()) {
                return listening;
            }
        }
    }

    /// The error for it.
    pub(crate) async fn wrong_transport(
        &self,
        handle: &Handle,
        Listening { port, line, .. }: Listening,
    ) -> Error {
        let message = format!(
            "'{}' says nothing on its stdout and listens on port {port} instead, by its output: {line}",
            self.run.name
        );
        let error = Error::new(ErrorKind::Runtime, message)
            .advise(Advice::Choose { setting: Setting::Transport, value: Some("streamable-http".to_owned()) })
            .advise(Advice::Choose { setting: Setting::TargetPort, value: Some(port.to_string()) });
        self.with_output(handle, error).await
    }
}

/// The first line of the output that says that MCP is served at a port, else the first one that names a port.
fn most_telling(output: &str) -> Option<Listening> {
    let all = || output.lines().filter_map(listening);
    all().find(|listening| listening.says_mcp).or_else(|| all().next())
}

/// The port that a line of output names after such words.
fn listening(line: &str) -> Option<Listening> {
    const LONGEST: usize = 200;
    let small = line.to_ascii_lowercase();
    let (before, words, after) = SAID.iter().find_map(|words| {
        let (before, after) = small.split_once(words)?;
        Some((before, *words, after))
    })?;
    if OTHER_ENDS.iter().any(|word| before.contains(word)) {
        return None;
    }
    let port = port_in(after)?;
    let says_mcp = SAID_OF_MCP.contains(&words)
        || before.contains("mcp server")
        || ["/mcp", "/sse"].iter().any(|path| after.contains(path));
    Some(Listening { port, line: line.trim().chars().take(LONGEST).collect(), says_mcp })
}

/// The first port in a text: after `port`, or after the last colon of an address or a URL.
fn port_in(text: &str) -> Option<u16> {
    let digits = |text: &str| {
        let text = text.trim_start_matches([':', ' ', '=']);
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse::<u16>().ok().filter(|port| *port > 0)
    };
    if let Some(port) = text.find("port").and_then(|at| digits(&text[at + "port".len()..])) {
        return Some(port);
    }
    text.split_whitespace().find_map(|word| {
        let word = word.split_once("://").map_or(word, |(_, rest)| rest);
        let place = word.split('/').next().unwrap_or(word);
        place.rsplit_once(':').and_then(|(_, port)| digits(port))
    })
}

#[cfg(test)]
mod tests {
    use super::{Duration, PATIENCE, listening, most_telling};

    #[test]
    fn a_port_is_found_in_what_servers_write() {
        for (line, port) in [
            ("INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)", 8000),
            ("Server listening on port 3000", 3000),
            ("MCP server running on http://localhost:3001/mcp", 3001),
            ("listening on [::]:8080", 8080),
            ("Listening at: http://0.0.0.0:9000 (12)", 9000),
            ("Started on port=7000", 7000),
            ("x 0.1: serving MCP on http://127.0.0.1:4000/mcp", 4000),
        ] {
            assert_eq!(listening(line).map(|found| found.port), Some(port), "{line}");
        }
        for line in [
            "MCP server running on stdio",
            "listening on stdin",
            "Connected to http://db:5432",
            "running on node v20.1",
            "listening on port 0",
            "Metrics server listening on :9090",
            "Debugger listening on ws://127.0.0.1:9229/0f2c",
            "health endpoint started on port 8081",
            "",
        ] {
            assert_eq!(listening(line), None, "{line}");
        }
    }
    #[test]
    fn a_port_that_may_be_for_anything_is_judged_late_and_one_of_mcp_soon() {
        let timeout = Duration::from_secs(120);
        for (line, says_mcp) in [
            ("INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)", true),
            ("x 0.1: serving MCP on http://127.0.0.1:4000/", true),
            ("GitHub MCP Server running on port 3000", true),
            ("listening on http://127.0.0.1:3000/sse", true),
            ("mcp-server-x listening on port 9090", false),
            ("Listening at: http://0.0.0.0:9000 (12)", false),
        ] {
            let patience = listening(line).unwrap().patience(timeout);
            assert_eq!(patience, if says_mcp { PATIENCE } else { timeout / 2 }, "{line}");
        }
        let output = "listening on :9090\nserving MCP on http://127.0.0.1:4000/\n";
        assert_eq!(most_telling(output).unwrap().port, 4000);
        assert_eq!(most_telling("listening on :9090\nready\n").unwrap().port, 9090);
    }
}
