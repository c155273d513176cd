//! `runtime list`, `runtime info`; the others of `runtime` are in files of their own.
use super::console::{Console, Format};
use super::escape;
use super::failure::{DONE, Outcome};
use super::table::Table;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;
use wharf::commands::Context;
use wharf_model::{Error, ErrorKind, chain};
use wharf_runtimes::{Catalog, Library, Provided};
use wharf_sdk::stamp::Stamp;

/// See which runtimes there are, and whether they work
#[derive(Subcommand)]
pub(super) enum Runtime {
    List(List),
    Info(Info),
    Check(super::runtime_check::Check),
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

/// Whether a runtime that was found can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Usability {
    /// It can.
    Usable,
    /// Another library that is searched for earlier provides one of this name.
    Shadowed,
    /// Several libraries of one folder provide one of this name: none of them is used.
    Duplicate,
    /// Its library is no plugin that can be used.
    Refused,
}

impl Usability {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Shadowed => "shadowed",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
        }
    }
}

/// One runtime, or a library that provides none.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "FoundRuntime"))]
pub(super) struct Found<'a> {
    /// Its name.
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    /// Its library's version.
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    /// The version of the interface between wharf and its library.
    #[serde(skip_serializing_if = "str::is_empty")]
    abi: &'a str,
    /// Whether it can be used.
    status: Usability,
    /// The reason if it cannot.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// Its library.
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
            table.row([row.name, row.version, row.abi, row.status.as_str(), &row.file]);
        }
        for line in table.render(None, &[]) {
            console.line(&line)?;
        }
        for row in found.iter().filter(|row| !row.reason.is_empty()) {
            console.note(&format!("{}: {}", row.status.as_str(), row.reason));
        }
        Ok(DONE)
    }
}

fn found(catalog: &Catalog) -> Vec<Found<'_>> {
    let mut found: Vec<Found<'_>> =
        catalog.runtimes().iter().map(|provided| runtime(catalog, provided)).collect();
    for library in catalog.libraries() {
        if let Err(error) = &library.stamp {
            let (status, reason, file) = (Usability::Refused, chain(error), file(library));
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
            let reason = format!("'{name}' of {} by {}", file(provided.library), file(winner.library));
            (Usability::Shadowed, reason)
        }
        (true, Err(error)) | (false, Err(error)) => (Usability::Duplicate, chain(&error)),
        (false, Ok(_)) => (Usability::Usable, String::new()),
    };
    Found { name, version, abi, status, reason, file: file(provided.library) }
}

fn file(library: &Library) -> String {
    library.path.display().to_string()
}

/// A library's manifest, as far as it is about one of its runtimes.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "RuntimeDetails"))]
pub(super) struct Details<'a> {
    /// Its name.
    name: &'a str,
    /// Its library.
    file: PathBuf,
    /// The library's package.
    plugin: &'a str,
    /// The package's version.
    version: &'a str,
    /// The version of the interface between wharf and the library.
    abi: &'a str,
    /// The version of the SDK that it was built with.
    sdk: &'a str,
    /// The compiler that built it.
    rustc: &'a str,
    /// The target that it was built for.
    target: &'a str,
    /// Its capabilities.
    capabilities: Vec<&'a str>,
    /// The kinds of SERVER that it runs.
    accepts: &'a [String],
    /// Its priority: of several runtimes that could run something, the one with the highest is taken.
    priority: i32,
}

impl Info {
    fn execute(&self, catalog: &Catalog, console: &Console) -> Outcome {
        let provided = catalog.find(&self.name).map_err(Error::from)?;
        let Ok(stamp) = &provided.library.stamp else {
            return Err(Error::new(ErrorKind::Failed, "the plugin has no manifest any more").into());
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
