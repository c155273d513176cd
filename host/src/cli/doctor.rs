//! `doctor`: checks everything that workloads need, and says how to mend what is missing.
use super::advice;
use super::console::{Console, Format};
use super::escape;
use super::failure::{DONE, Outcome, ended};
use super::finding::{Finding, Verdict};
use super::runtime_check::{attempt, names};
use super::{doctor_apparmor, doctor_linger, doctor_state, doctor_writing};
use clap::Args;
use futures_util::future::join_all;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use wharf::commands::{self, Context, Orphan};
use wharf_model::RunConfig;
use wharf_model::{Error, ErrorKind, chain};
use wharf_runtimes::Plugins;

const EXAMPLES: &str = "Examples:
  wharf doctor
  wharf doctor --format json";

/// Try everything that workloads need, and say what to do about what is missing
///
/// Succeeds if something can run workloads, and wharf's folders can be written: each is tried with a small file that has
/// no name. Nothing is left but what the runtimes themselves write.
///
/// JSON: an object of ok and checks, an array of check, result (ok, warning, failed), message, remedy.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Doctor {
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// The result of all checks.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Diagnosis {
    /// Something can run workloads.
    ok: bool,
    /// The checks.
    checks: Vec<Finding>,
}

impl Doctor {
    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let config = context.config();
        let mut checks = vec![Finding::ok("configuration", config.config_dir.display().to_string())];
        checks.extend(match commands::refuse_blindness(context) {
            Ok(()) => {
                let mut findings = doctor_state::examine(context.store().state());
                findings.extend(doctor_writing::examine(config));
                findings
            }
            Err(error) => vec![Finding::failed("state", error.message, advice::line(&error.advice))],
        });
        let is_usable = checks.iter().all(|finding| finding.result != Verdict::Failed);
        let host_id = match context.known_host_id() {
            Ok(host_id) => host_id,
            Err(error) => {
                checks.push(Finding::failed("plugins", error.message, advice::line(&error.advice)));
                return self.print(&Diagnosis { ok: false, checks }, console);
            }
        };
        let plugins = context.plugins();
        checks.extend(libraries(plugins));
        let default = default_runtime(context, plugins);
        let is_usable = is_usable && default.is_none();
        checks.extend(default);
        checks.extend(unknown_runtimes(context, plugins));
        // All at the same time: an engine that gives no answer costs its deadline once.
        let (runtimes, orphans) = tokio::join!(runtimes(plugins, &host_id), orphans(context));
        let runs = runtimes.iter().any(|finding| finding.result == Verdict::Ok);
        checks.extend(runtimes);
        checks.extend(doctor_apparmor::examine());
        checks.extend(doctor_linger::examine(context));
        checks.extend(orphans);
        checks.extend(open_proxies(context));
        checks.extend(tools(&config.search_path));
        self.print(&Diagnosis { ok: is_usable && runs, checks }, console)
    }

    /// The report if not even the configuration can be read.
    pub(super) fn without_config(&self, error: &Error, console: &Console) -> Outcome {
        let checks = vec![Finding::failed("configuration", &error.message, advice::line(&error.advice))];
        self.print(&Diagnosis { ok: false, checks }, console)
    }

    fn print(&self, diagnosis: &Diagnosis, console: &Console) -> Outcome {
        let code = if diagnosis.ok { DONE } else { ErrorKind::Failed.exit_code() };
        ended(code, self.tell(diagnosis, console))
    }

    fn tell(&self, diagnosis: &Diagnosis, console: &Console) -> std::io::Result<()> {
        if self.format == Format::Json {
            console.json(diagnosis)
        } else {
            for finding in &diagnosis.checks {
                let verdict = match finding.result {
                    Verdict::Ok => "ok",
                    Verdict::Warning => "warning",
                    Verdict::Failed => "FAILED",
                };
                let message = escape::line(&finding.message);
                console.line(&format!("{verdict:7}  {:13}  {message}", finding.check))?;
                if !finding.remedy.is_empty() {
                    console.line(&format!("{:24}  to do: {}", "", escape::line(&finding.remedy)))?;
                }
            }
            console.line(if diagnosis.ok { "workloads can be run" } else { "workloads cannot be run" })
        }
    }
}

/// Fails if the default runtime is one that no plugin provides: then nothing can be run without --runtime.
fn default_runtime(context: &Context, plugins: &Plugins) -> Option<Finding> {
    let config = context.config();
    let (name, place) = match (&config.default_runtime, &config.settings.default_runtime) {
        (Some(name), _) => (name, "WHARF_RUNTIME"),
        (None, Some(name)) => (name, "default_runtime in config.json"),
        (None, None) => return None,
    };
    let mut provided = plugins.catalog().runtimes().into_iter();
    if provided.any(|provided| provided.runtime.name == *name) {
        return None;
    }
    let message = format!("{place} names '{name}', which no plugin provides");
    Some(Finding::failed("default", message, "name one of: wharf runtime list"))
}

/// The settings of runtimes that no plugin provides, which nobody reads.
fn unknown_runtimes(context: &Context, plugins: &Plugins) -> Vec<Finding> {
    // One that cannot be used now, which is told too, may be the one.
    if plugins.catalog().libraries().iter().any(|library| library.stamp.is_err()) {
        return Vec::new();
    }
    let provided = names(plugins.catalog());
    let known = |name: &&String| provided.iter().any(|provided| provided == *name);
    let settings = context.config().settings.runtimes.keys();
    let unknown = settings.filter(|name| !known(name));
    unknown
        .map(|name| {
            let message = format!("runtimes.{name} in config.json: no plugin provides '{name}'");
            Finding::warning("configuration", message, "name one of: wharf runtime list, or remove it")
        })
        .collect()
}

fn libraries(plugins: &Plugins) -> Vec<Finding> {
    let found = plugins.catalog().libraries();
    if found.is_empty() {
        let remedy = "put plugins beside wharf, or name their folder: --plugin-dir, WHARF_PLUGIN_PATH";
        return vec![Finding::failed("plugins", "none were found", remedy)];
    }
    found
        .iter()
        .map(|library| match &library.stamp {
            Ok(stamp) => Finding::ok(
                "plugin",
                format!("{} {} ({})", stamp.plugin, stamp.version, library.path.display()),
            ),
            Err(error) => {
                Finding::warning("plugin", chain(error), "mend it or remove it; the others are not affected")
            }
        })
        .collect()
}

async fn runtimes(plugins: &Plugins, host_id: &str) -> Vec<Finding> {
    let (names, usual) = (names(plugins.catalog()), BTreeMap::new());
    let tried = join_all(names.iter().map(|name| attempt(plugins, host_id, name, &usual))).await;
    tried
        .into_iter()
        .map(|tried| {
            let remedy = match tried.remedy.is_empty() {
                true => format!("for details: wharf --log-level debug runtime check {}", tried.name),
                false => tried.remedy.clone(),
            };
            let message = match tried.message.is_empty() {
                true => format!("{} is {}", tried.name, tried.state.as_str()),
                false => format!("{} is {}: {}", tried.name, tried.state.as_str(), tried.message),
            };
            match tried.is_healthy() {
                true => Finding::ok("runtime", message),
                false => Finding::warning("runtime", message, remedy),
            }
        })
        .collect()
}

/// Resources without a RunConfig. A runtime that cannot be asked is reported by its own check.
async fn orphans(context: &Context) -> Vec<Finding> {
    let orphans = match commands::orphans(context).await {
        Ok(orphans) => orphans,
        Err(error) => return vec![Finding::warning("orphans", error.message, advice::line(&error.advice))],
    };
    let finding = |orphan: &Orphan| {
        let message = format!("{} {} is {}", orphan.id(), orphan.object, orphan.state);
        Finding::warning("orphan", message, advice::after(&orphan.explanation(), &orphan.advice()))
    };
    orphans.iter().map(finding).collect()
}

/// Workloads whose proxy serves everybody although nobody chose that: an older version, or another product, made them.
fn open_proxies(context: &Context) -> Option<Finding> {
    // The check of the records reports an unreadable folder.
    let configs = context.store().list_run_configs().unwrap_or_default();
    let is_open = |run: &RunConfig| run.proxy_auth.is_none() && !run.is_remote();
    let open: Vec<_> = configs
        .into_iter()
        .filter_map(|(name, run)| run.is_ok_and(|run| is_open(&run)).then(|| name.to_string()))
        .collect();
    let first = open.first()?;
    let message = format!("everybody on this machine can use: {}", open.join(", "));
    Some(Finding::warning(
        "proxies",
        message,
        format!("for a URL that has to be known: wharf url {first} --auth path"),
    ))
}

/// The tools that run packages.
fn tools(search_path: &[PathBuf]) -> Vec<Finding> {
    [
        ("npx", "npx:// packages", "install Node.js, which brings npx"),
        ("uvx", "uvx:// packages", "install uv, which brings uvx"),
    ]
    .into_iter()
    .map(|(tool, runs, remedy)| {
        let found = search_path.iter().map(|dir| dir.join(tool)).find(|path| is_executable(path));
        match found {
            Some(path) => Finding::ok("tool", format!("{tool} runs {runs} ({})", path.display())),
            None => Finding::warning("tool", format!("{tool} is not in PATH: {runs} cannot be run"), remedy),
        }
    })
    .collect()
}

fn is_executable(path: &std::path::Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
