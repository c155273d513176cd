//! `list`.
use super::advice;
use super::age::age;
use super::console::{Console, Format};
use super::failure::{DONE, Failure, Outcome};
use super::run_values::pair;
use super::table::Table;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use wharf::commands::{self, Context, ListOptions, WorkloadView};
use wharf_model::{Advice, EffectiveState};

const EXAMPLES: &str = "Examples:
  wharf list --all --label team=web
  wharf list --format json
  wharf list --watch
  wharf list --format mcpservers > .mcp.json";

/// List the workloads that run or should run
///
/// A state that cannot be confirmed now is marked as stale, with the reason on stderr: the list is a success all the same.
///
/// JSON: an array of name, uid, runtime_name, runtime_instance, runtime_place, package, url, unix_socket, port, transport_type,
/// proxy_mode, status (starting, running, stopping, stopped, removing, error, unhealthy, interrupted, unknown),
/// status_context, advice, stale, stale_reason, group, labels, created_at, started_at, orphan (a resource without a
/// RunConfig, with --all; its name is what `wharf rm --orphan` takes). Keys are absent when empty. With --format
/// mcpservers: {"mcpServers": {NAME: {"url", "type", "headers"}}}, as MCP clients are configured: whoever can read that can
/// use them, tokens are in it too. With --watch each list is one line.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct List {
    /// Also those that do not run and should not
    #[arg(short, long)]
    all: bool,
    /// Only those of this runtime
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
    /// Only those of this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Only those with this label; can be given several times
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// Print everything whole, whatever the width of the terminal; and where in a cluster a workload is (CONTEXT/NAMESPACE)
    #[arg(long)]
    wide: bool,
    /// Print the list again whenever it changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: ListFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// For people
    #[default]
    Text,
    /// For programs; stable
    Json,
    /// The part of an MCP client's configuration
    Mcpservers,
}

impl List {
    /// How errors are printed.
    pub(super) fn errors(&self) -> Format {
        match self.format {
            ListFormat::Text => Format::Text,
            ListFormat::Json | ListFormat::Mcpservers => Format::Json,
        }
    }

    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let options = ListOptions {
            all: self.all,
            runtime: self.runtime.clone(),
            group: self.group.clone(),
            labels: self.label.iter().cloned().collect(),
        };
        if !self.watch {
            self.show(&commands::list(context, &options).await?, console)?;
            return Ok(DONE);
        }
        tokio::select! {
            failed = self.show_changes(context, options, console) => failed.map(|never| match never {}),
            () = console.unread() => Ok(DONE),
        }
    }

    fn show(&self, rows: &[WorkloadView], console: &Console) -> io::Result<()> {
        match self.format {
            ListFormat::Json => console.json(&rows),
            ListFormat::Mcpservers => console.json(&McpServers::of(rows)),
            ListFormat::Text if rows.is_empty() => {
                self.say_nothing(console);
                Ok(())
            }
            ListFormat::Text => print(rows, console, self.wide),
        }
    }

    async fn show_changes(
        &self,
        context: &Context,
        options: ListOptions,
        console: &Console,
    ) -> Result<Infallible, Failure> {
        let mut watched = commands::watch(context, options)?;
        loop {
            let rows = watched.next().await?;
            match self.format {
                ListFormat::Json => console.json_line(&rows)?,
                ListFormat::Mcpservers => console.json_line(&McpServers::of(&rows))?,
                ListFormat::Text => {
                    console.clear()?;
                    self.show(&rows, console)?;
                }
            }
            console.flush()?;
        }
    }

    fn say_nothing(&self, console: &Console) {
        let filtered = self.runtime.is_some() || self.group.is_some() || !self.label.is_empty();
        console.note(match (filtered, self.all) {
            (true, _) => "no workloads match",
            (false, true) => "there are no workloads",
            (false, false) => "no workloads are running",
        });
        console.note(if self.all || filtered {
            "hint: start one: wharf run uvx://mcp-server-time"
        } else {
            "hint: see those that are stopped: wharf list --all; start one: wharf run uvx://mcp-server-time"
        });
    }
}

/// The columns that are cut on a narrow terminal, the first one first. `wharf url` prints a URL by itself.
const GIVE_WAY: [&str; 4] = ["PACKAGE", "URL", "GROUP", "NAME"];

/// The column of where in its runtime a workload is: `CONTEXT/NAMESPACE` of a cluster.
const PLACE: &str = "PLACE";

fn print(rows: &[WorkloadView], console: &Console, wide: bool) -> io::Result<()> {
    let now = Timestamp::now();
    let mut table =
        Table::new(&["NAME", "RUNTIME", PLACE, "PACKAGE", "STATUS", "URL", "PORT", "GROUP", "CREATED"]);
    for row in rows {
        let port = if row.port == 0 { String::new() } else { row.port.to_string() };
        let created = row.created_at.map(|then| age(then, now)).unwrap_or_default();
        let status = shown_status(row);
        let place = row.runtime_place.values().map(String::as_str).collect::<Vec<_>>().join("/");
        table.row([
            &row.name,
            &row.runtime_name,
            &place,
            &row.package,
            &status,
            &row.url,
            &port,
            &row.group,
            &created,
        ]);
    }
    if !wide || rows.iter().all(|row| row.runtime_place.is_empty()) {
        table.leave_out(PLACE);
    }
    let columns = console.columns.filter(|_| !wide);
    console.line(&table.render(columns, &GIVE_WAY).join("\n"))?;
    explain(rows, console);
    Ok(())
}

/// The state, and whether it rests on the record alone.
pub(super) fn shown_status(row: &WorkloadView) -> String {
    let stale = if row.stale { " (stale)" } else { "" };
    let servers = match row.session_servers.iter().filter(|server| server.is_alive()).count() {
        0 => String::new(),
        1 => ", 1 session server".to_owned(),
        count => format!(", {count} session servers"),
    };
    format!("{}{stale}{servers}", row.status.as_str())
}

/// Prints each reason for stale rows once, with the next steps of one of them, and the reasons for rows that are not as they
/// should be.
fn explain(rows: &[WorkloadView], console: &Console) {
    let mut stale: BTreeMap<&str, Vec<&WorkloadView>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.stale) {
        stale.entry(&row.stale_reason).or_default().push(row);
    }
    for (reason, rows) in stale {
        let steps = rows.first().map(|row| row.advice.as_slice()).unwrap_or_default();
        let others = match rows.len() {
            count if count > 1 && !steps.is_empty() => format!(" (so, too, for {} more)", count - 1),
            _ => String::new(),
        };
        console.note(&format!("stale: {}{others}", advice::after(reason, steps)));
    }
    for row in rows.iter().filter(|row| !row.status_context.is_empty()) {
        if matches!(
            row.status,
            EffectiveState::Error
                | EffectiveState::Paused
                | EffectiveState::Unhealthy
                | EffectiveState::Interrupted
                | EffectiveState::Unknown
        ) {
            // Those of a stale row stand with the reason for that.
            let steps: &[Advice] = if row.stale { &[] } else { &row.advice };
            let why = advice::after(&row.status_context, steps);
            console.note(&format!("{}: {}: {why}", row.name, row.status.as_str()));
        }
    }
}

/// The configuration of MCP clients.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct McpServers<'a> {
    /// The servers that can be reached, by name.
    #[serde(rename = "mcpServers")]
    servers: BTreeMap<&'a str, McpServer<'a>>,
}

/// One server.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct McpServer<'a> {
    /// Its URL, with the secret part.
    url: &'a str,
    /// Its transport: always `http`, the clients' word for streamable HTTP.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The headers that are sent, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Headers>,
}

/// The headers of requests to a server with a token.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Headers {
    /// `Bearer` and the token.
    #[serde(rename = "Authorization")]
    authorization: String,
}

impl<'a> McpServers<'a> {
    /// The workloads that clients can reach.
    fn of(rows: &'a [WorkloadView]) -> Self {
        let reachable = rows.iter().filter(|row| !row.url.is_empty());
        let headers = |row: &WorkloadView| {
            let token = row.token.as_ref()?;
            Some(Headers { authorization: format!("Bearer {}", token.expose()) })
        };
        let server = |row: &'a WorkloadView| McpServer { url: &row.url, kind: "http", headers: headers(row) };
        Self { servers: reachable.map(|row| (row.name.as_str(), server(row))).collect() }
    }
}
