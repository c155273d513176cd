//! `runtime list`, `runtime info`, `runtime check`; `runtime test` and `runtime forget-verdict` are in files of
//! their own.
use super::advice;
use super::console::{Console, Format};
use super::escape;
use super::failure::{DONE, Outcome, ended};
use super::table::Table;
use clap::{Args, Subcommand};
use futures_util::future::join_all;
use serde::Serialize;
use std::path::PathBuf;
use wharf::commands::Context;
use wharf_model::{Error, ErrorKind, Result, chain};
use wharf_runtimes::{Catalog, Library, Plugins, Provided};
use wharf_sdk::stamp::Stamp;
use wharf_sdk::{Confinement, Health, HealthState, Measure};

/// See which runtimes there are, and whether they work
#[derive(Subcommand)]
pub(super) enum Runtime {
    List(List),
    Info(Info),
    Check(Check),
    Test(Box<super::runtime_test::Test>),
    ForgetVerdict(super::runtime_forget::ForgetVerdict),
}

const LIST_EXAMPLES: &str = "Examples:
  wharf runtime list
  wharf runtime list --plugin-dir ./plugins --format json";

/// List the runtimes and the plugins that provide them; no plugin is loaded
///
/// JSON: an array of name, version, abi, status (usable, shadowed, duplicate, refused), reason, file.
#[derive(Args)]
#[command(after_long_help = LIST_EXAMPLES)]
pub(super) struct List {
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const INFO_EXAMPLES: &str = "Examples:
  wharf runtime info process";

/// Show what a runtime's plugin says about itself; it is not loaded
///
/// JSON: an object of name, file, plugin, version, abi, sdk, rustc, target, capabilities, accepts, priority.
#[derive(Args)]
#[command(after_long_help = INFO_EXAMPLES)]
pub(super) struct Info {
    /// The runtime's name
    name: String,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const CHECK_EXAMPLES: &str = "Examples:
  wharf runtime check
  wharf runtime check process --format json";

/// Load runtimes and try whether they can be used here and now
///
/// Succeeds if all that are named can be used, or any one where none is named.
///
/// JSON: an array of name, state (healthy, unhealthy, undetected, failed), message, remedy, instance, endpoint,
/// confinement (what can be enforced here: enforced, weaker, arrays of what, how).
#[derive(Args)]
#[command(after_long_help = CHECK_EXAMPLES)]
pub(super) struct Check {
    /// The runtimes' names; all of them where none is given
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Runtime {
    /// How errors are printed.
    pub(super) fn format(&self) -> Format {
        match self {
            Self::List(command) => command.format,
            Self::Info(command) => command.format,
            Self::Check(command) => command.format,
            Self::Test(command) => command.errors(),
            Self::ForgetVerdict(_) => Format::Text,
        }
    }

    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        // These two use only the plugins' files, so they work without a usable state directory.
        let catalog = || Catalog::of(&context.config().plugin_dirs);
        match self {
            Self::List(command) => command.execute(&catalog(), console),
            Self::Info(command) => command.execute(&catalog(), console),
            Self::Check(command) => command.execute(context, console).await,
            Self::Test(command) => command.execute(context.config(), console).await,
            Self::ForgetVerdict(command) => command.execute(context.config(), console),
        }
    }
}

/// One runtime, or a library that provides none.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    abi: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    file: String,
}

impl List {
    fn execute(&self, catalog: &Catalog, console: &Console) -> Outcome {
        let found = found(catalog);
        if self.format == Format::Json {
            console.json(&found)?;
            return Ok(DONE);
        }
        if found.is_empty() {
            console.note("no plugins were found");
            console.note(
                "hint: they are searched for beside wharf, and with --plugin-dir and WHARF_PLUGIN_PATH",
            );
            return Ok(DONE);
        }
        let mut table = Table::new(&["NAME", "VERSION", "ABI", "STATUS", "FILE"]);
        for row in &found {
            table.row([row.name, row.version, row.abi, row.status, &row.file]);
        }
        for line in table.render(None, None) {
            console.line(&line)?;
        }
        for row in found.iter().filter(|row| !row.reason.is_empty()) {
            console.note(&format!("{}: {}", row.status, row.reason));
        }
        Ok(DONE)
    }
}

fn found(catalog: &Catalog) -> Vec<Found<'_>> {
    let mut found: Vec<Found<'_>> =
        catalog.runtimes().iter().map(|provided| runtime(catalog, provided)).collect();
    for library in catalog.libraries() {
        if let Err(error) = &library.stamp {
            let (status, reason, file) = ("refused", chain(error), file(library));
            found.push(Found { name: "", version: "", abi: "", status, reason, file });
        }
    }
    found
}

fn runtime<'a>(catalog: &'a Catalog, provided: &Provided<'a>) -> Found<'a> {
    let name = provided.runtime.name.as_str();
    let (version, abi) = provided
        .library
        .stamp
        .as_ref()
        .map(|stamp| (stamp.version.as_str(), stamp.abi.as_str()))
        .unwrap_or_default();
    let (status, reason) = match (provided.shadowed, catalog.find(name)) {
        (true, Ok(winner)) => {
            ("shadowed", format!("'{name}' of {} by {}", file(provided.library), file(winner.library)))
        }
        (true, Err(error)) | (false, Err(error)) => ("duplicate", chain(&error)),
        (false, Ok(_)) => ("usable", String::new()),
    };
    Found { name, version, abi, status, reason, file: file(provided.library) }
}

fn file(library: &Library) -> String {
    library.path.display().to_string()
}

#[derive(Serialize)]
struct Details<'a> {
    name: &'a str,
    file: PathBuf,
    plugin: &'a str,
    version: &'a str,
    abi: &'a str,
    sdk: &'a str,
    rustc: &'a str,
    target: &'a str,
    capabilities: Vec<&'a str>,
    accepts: &'a [String],
    priority: i32,
}

impl Info {
    fn execute(&self, catalog: &Catalog, console: &Console) -> Outcome {
        let provided = catalog.find(&self.name).map_err(Error::from)?;
        let Ok(stamp) = &provided.library.stamp else {
            return Err(Error::new(ErrorKind::Failed, "the plugin has no stamp any more").into());
        };
        let details = details(&provided, stamp);
        match self.format {
            Format::Json => console.json(&details)?,
            Format::Text => {
                for (key, value) in [
                    ("Name", details.name.to_owned()),
                    ("File", details.file.display().to_string()),
                    ("Plugin", format!("{} {}", details.plugin, details.version)),
                    ("Interface", format!("{} (SDK {})", details.abi, details.sdk)),
                    ("Built by", format!("{} for {}", details.rustc, details.target)),
                    ("Runs", details.accepts.join(", ")),
                    ("Can", details.capabilities.join(", ")),
                    ("Priority", details.priority.to_string()),
                ] {
                    console.line(&format!("{:10}  {}", format!("{key}:"), escape::line(&value)))?;
                }
            }
        }
        Ok(DONE)
    }
}

fn details<'a>(provided: &Provided<'a>, stamp: &'a Stamp) -> Details<'a> {
    Details {
        name: &provided.runtime.name,
        file: provided.library.path.clone(),
        plugin: &stamp.plugin,
        version: &stamp.version,
        abi: &stamp.abi,
        sdk: &stamp.sdk,
        rustc: &stamp.rustc,
        target: &stamp.target,
        capabilities: provided.runtime.capabilities.iter().map(wharf_sdk::Capability::as_str).collect(),
        accepts: &provided.runtime.accepts,
        priority: provided.runtime.priority,
    }
}

/// The outcome of trying a runtime.
#[derive(Serialize)]
pub(super) struct Tried {
    pub(super) name: String,
    pub(super) state: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) remedy: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    instance: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    confinement: Option<Confinement>,
}

impl Tried {
    pub(super) fn is_healthy(&self) -> bool {
        self.state == "healthy"
    }
}

impl Check {
    async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let (plugins, host_id) = (context.plugins(), context.known_host_id()?);
        let names = if self.names.is_empty() { names(plugins.catalog()) } else { self.names.clone() };
        for name in &self.names {
            // An unknown name is an error of the request, unlike a runtime that does not work.
            plugins.catalog().find(name).map_err(Error::from)?;
        }
        let tried = join_all(names.iter().map(|name| attempt(plugins, &host_id, name))).await;
        let printed = match self.format {
            Format::Json => console.json(&tried),
            Format::Text => tell(&tried, console),
        };
        let fine = if self.names.is_empty() {
            tried.iter().any(Tried::is_healthy)
        } else {
            tried.iter().all(Tried::is_healthy)
        };
        ended(if fine { DONE } else { ErrorKind::Owner.exit_code() }, printed)
    }
}

fn tell(tried: &[Tried], console: &Console) -> std::io::Result<()> {
    if tried.is_empty() {
        console.note("no plugins were found");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "STATE", "INSTANCE", "MESSAGE"]);
    for row in tried {
        let separator = if row.remedy.is_empty() { "" } else { "; " };
        let message = format!("{}{separator}{}", row.message, row.remedy);
        table.row([&row.name, row.state, &row.instance, &message]);
    }
    for line in table.render(None, None) {
        console.line(&line)?;
    }
    tried.iter().try_for_each(|row| tell_confinement(row, console))
}

/// Prints the confinement that a runtime can enforce here, one part in each line.
fn tell_confinement(row: &Tried, console: &Console) -> std::io::Result<()> {
    let Some(confinement) = &row.confinement else { return Ok(()) };
    let lists = [("enforces", &confinement.enforced), ("does not enforce", &confinement.weaker)];
    for (verb, measures) in lists.into_iter().filter(|(_, measures)| !measures.is_empty()) {
        console.line(&format!("\n{} {verb} here:", row.name))?;
        for Measure { what, how } in measures {
            console.line(&escape::line(&format!("  {what}: {how}")))?;
        }
    }
    Ok(())
}

/// The names of all runtimes, each once.
pub(super) fn names(catalog: &Catalog) -> Vec<String> {
    let mut names: Vec<String> =
        catalog.runtimes().iter().map(|provided| provided.runtime.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// Loads a runtime and asks it whether it can be used.
pub(super) async fn attempt(plugins: &Plugins, host_id: &str, name: &str) -> Tried {
    let asked = async {
        let client = plugins.connect(name, None, host_id).await?;
        let health = client.health().await?;
        let instance = client.instance().await.ok();
        let confinement = client.confinement().await?;
        Ok::<_, Error>((health, instance, confinement))
    };
    let outcome: Result<_> = asked.await;
    let name = name.to_owned();
    match outcome {
        Err(error) => {
            let remedy = advice::line(&error.advice);
            let (instance, endpoint) = (String::new(), String::new());
            Tried {
                name,
                state: "failed",
                message: error.message,
                remedy,
                instance,
                endpoint,
                confinement: None,
            }
        }
        Ok((health, instance, confinement)) => {
            let state = match health.state {
                HealthState::Healthy => "healthy",
                HealthState::Unhealthy => "unhealthy",
                HealthState::Undetected => "undetected",
            };
            let (instance, endpoint) =
                instance.map(|instance| (instance.instance, instance.endpoint)).unwrap_or_default();
            let Health { message, remedy, .. } = health;
            Tried { name, state, message, remedy, instance, endpoint, confinement }
        }
    }
}
