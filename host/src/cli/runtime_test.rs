//! `runtime test`.
use super::console::{Console, Format};
use super::escape;
use super::failure::{DONE, Outcome, ended};
use super::junit;
use super::table::Table;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use wharf::conformance::{
    CONNECT_ARGUMENT, CaseReport, CaseResult, LISTEN_ARGUMENT, Report, Suite, Verdict, run,
};
use wharf_model::{Error, ErrorKind, Result};
use wharf_runtimes::Catalog;
use wharf_sdk::conformance::{Case, Connector, Listener, Material, Need, Profile, cases};
use wharf_sdk::stamp::{RuntimeStamp, Stamp};
use wharf_sdk::{Capability, Source};
use wharf_supervisor::Config;

const EXAMPLES: &str = "Examples:
  wharf runtime test ./libwharf_plugin_mine.so
  wharf runtime test ./libwharf_plugin_mine.so --filter core. --timeout 10
  wharf runtime test ./libengines.so --runtime docker --image busybox --listener 'nc -lk -p {port} -e cat' \\
    --connector 'nc -w 1 {host} {port} </dev/null'
  wharf runtime test ./libecho.so --command echo --plain
  wharf runtime test --list";

/// Test whether a runtime keeps to the contract of the SDK
///
/// Each case runs in processes of its own, which load the library: a crash or a hang is a failed case. The cases need
/// a program that runs scripts: 'sh' where the runtime runs commands, an image with 'sh' in it where it runs images. A
/// case of which the runtime does not claim the capability, or which it refuses by name on this machine, is skipped, and
/// a profile with skips is no pass.
///
/// Succeeds if no case failed; exits with 1 else.
///
/// JSON: an object of runtime, plugin, profiles (profile, verdict, reasons), cases (id, sentence, profile, result,
/// reason, duration_ms, stderr).
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Test {
    /// The library's file
    #[arg(required_unless_present = "list")]
    library: Option<PathBuf>,
    /// Which of its runtimes, if it provides several
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
    /// Run this command of the machine: a shell, or any with --plain [default: sh]
    #[arg(long, value_name = "PROGRAM", group = "what")]
    command: Option<String>,
    /// Run this image, which has 'sh' in it
    #[arg(long, value_name = "REFERENCE", group = "what")]
    image: Option<String>,
    /// Run this package, which takes no scripts
    #[arg(long, value_name = "TOOL://PACKAGE", group = "what")]
    package: Option<String>,
    /// The program takes no scripts: it runs until it is stopped, and writes back what it reads; cases that need more
    /// are skipped
    #[arg(long)]
    plain: bool,
    /// A script that listens on the port {port} and writes back what it reads; where commands are run, wharf has one
    #[arg(long, value_name = "SCRIPT")]
    listener: Option<String>,
    /// A script that connects to {host} at {port}, and succeeds if it could; where commands are run, wharf has one
    #[arg(long, value_name = "SCRIPT")]
    connector: Option<String>,
    /// Only cases whose id contains this; can be given several times
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Say which cases there are, and run none
    #[arg(long)]
    list: bool,
    /// How long a case may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// For people.
    #[default]
    Text,
    /// For programs; stable.
    Json,
    /// JUnit's XML, for CI systems.
    Junit,
}

impl Test {
    /// How errors are printed.
    pub(super) fn errors(&self) -> Format {
        if self.format == ReportFormat::Json { Format::Json } else { Format::Text }
    }

    pub(super) async fn execute(&self, config: &Config, console: &Console) -> Outcome {
        let chosen = self.chosen()?;
        if self.list {
            return self.print_cases(&chosen, console);
        }
        let suite = self.suite(config, chosen)?;
        let shows = self.format == ReportFormat::Text;
        let tell = |case: &CaseReport| {
            if shows {
                // If the output cannot be written, printing the verdicts fails, too.
                let _ = console.line(&told(case));
            }
        };
        // After Ctrl-C, the workloads of the case under way are removed before the process ends.
        let given_up = async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let report = run(config, &suite, tell, given_up).await?;
        let printed = match self.format {
            ReportFormat::Text => print_verdicts(&report, console),
            ReportFormat::Json => console.json(&report),
            ReportFormat::Junit => console.line(&junit::render(&report)),
        };
        ended(if report.is_pass() { DONE } else { ErrorKind::Failed.exit_code() }, printed)
    }

    fn chosen(&self) -> Result<Vec<&'static Case>> {
        // A filter that matches no case is a mistake, even if other filters match some.
        if let Some(text) =
            self.filter.iter().find(|text| !cases().any(|case| case.id.contains(text.as_str())))
        {
            return Err(Error::new(ErrorKind::Usage, format!("no case has an id that contains '{text}'"))
                .hint("see: wharf runtime test --list"));
        }
        let is_chosen = |case: &&Case| {
            self.filter.is_empty() || self.filter.iter().any(|text| case.id.contains(text.as_str()))
        };
        Ok(cases().filter(is_chosen).collect())
    }

    /// The library, which must be a file. Whether it is a plugin is checked later.
    fn file(&self) -> Result<PathBuf> {
        let library = self.library.clone().unwrap_or_default();
        let wrong = |why: String| {
            Error::new(ErrorKind::Usage, format!("'{}' is no library: {why}", library.display()))
                .hint("name the file of a plugin; see where yours lie: wharf runtime list")
        };
        match std::fs::metadata(&library) {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(wrong("it is no file".to_owned())),
            Err(error) => return Err(wrong(error.to_string())),
        }
        std::path::absolute(&library)
            .map_err(|error| Error::caused(ErrorKind::Usage, library.display(), &error))
    }

    fn suite(&self, config: &Config, cases: Vec<&'static Case>) -> Result<Suite> {
        let library = self.file()?;
        let catalog = Catalog::only(&library);
        let runtime = self.runtime(&catalog)?;
        let provided = catalog.find(&runtime).map_err(Error::from)?;
        let stamp = provided.library.stamp.as_ref();
        let plugin = stamp.map(|Stamp { plugin, version, .. }| format!("{plugin} {version}"));
        let material = self.material(config, provided.runtime, &cases)?;
        Ok(Suite {
            library,
            runtime: provided.runtime.clone(),
            plugin: plugin.unwrap_or_default(),
            material,
            cases,
            timeout: Duration::from_secs(self.timeout),
        })
    }

    fn runtime(&self, catalog: &Catalog) -> Result<String> {
        if let Some(name) = &self.runtime {
            return Ok(name.clone());
        }
        let provided = catalog.runtimes();
        let names: Vec<&str> = provided.iter().map(|provided| provided.runtime.name.as_str()).collect();
        match names.as_slice() {
            [name] => Ok((*name).to_owned()),
            [] => match catalog.libraries() {
                [library] => Err(match &library.stamp {
                    Err(error) => Error::new(ErrorKind::Owner, wharf_model::chain(error)),
                    Ok(_) => Error::new(ErrorKind::Owner, "the library provides no runtime"),
                }),
                _ => Err(Error::new(ErrorKind::Usage, "no library was given")),
            },
            several => Err(Error::new(ErrorKind::Usage, "the library provides several runtimes")
                .hint(format!("name one with --runtime: {}", several.join(", ")))),
        }
    }

    /// The programs that the cases run.
    fn material(&self, config: &Config, runtime: &RuntimeStamp, cases: &[&Case]) -> Result<Material> {
        let source = self.source(runtime)?;
        let shell = match &source {
            _ if self.plain => None,
            Source::Command { .. } => Some(vec!["-c".to_owned()]),
            Source::Image { .. } => Some(vec!["sh".to_owned(), "-c".to_owned()]),
            Source::Package { .. } => None,
        };
        let helper = |option, script, own| helper(config, &source, shell.as_deref(), option, script, own);
        let listener = helper("--listener", self.listener.clone(), &[LISTEN_ARGUMENT, "{port}"])?
            .map(|(source, args)| Listener { source, args });
        let any = self.connector.as_ref().map(|script| {
            let script = script.replace("{host}", "$host");
            format!("for host in {{hosts}}; do {script} && exit 0; done; exit 9")
        });
        let connector = helper("--connector", any, &[CONNECT_ARGUMENT, "{hosts}", "{port}"])?
            .map(|(source, args)| Connector { source, args });
        let needs_listener = cases.iter().any(|case| case.needs.contains(&Need::Listener));
        if listener.is_none() && needs_listener && runtime.has(&Capability::HTTP) {
            return Err(Error::new(
                ErrorKind::Usage,
                "the runtime claims 'http', and nothing is named that listens",
            )
            .hint("name a script for the image with --listener, or other cases with --filter"));
        }
        Ok(Material { source, shell, listener, connector })
    }

    fn source(&self, runtime: &RuntimeStamp) -> Result<Source> {
        let accepts = |kind: &str| runtime.accepts.iter().any(|accepted| accepted == kind);
        if let Some(program) = &self.command {
            return Ok(Source::Command { program: program.clone() });
        }
        if let Some(reference) = &self.image {
            return Ok(Source::Image { reference: reference.clone() });
        }
        if let Some(package) = &self.package {
            let (tool, package) = package
                .split_once("://")
                .ok_or_else(|| Error::new(ErrorKind::Usage, "a package is TOOL://PACKAGE"))?;
            return Ok(Source::Package { tool: tool.to_owned(), package: package.to_owned() });
        }
        if accepts("command") {
            return Ok(Source::Command { program: "sh".to_owned() });
        }
        let message =
            format!("the runtime '{}' runs no commands, so it must be said what to run", runtime.name);
        Err(Error::new(ErrorKind::Usage, message).hint("name it with --image or --package"))
    }

    fn print_cases(&self, chosen: &[&Case], console: &Console) -> Outcome {
        if self.format == ReportFormat::Junit {
            return Err(Error::new(ErrorKind::Usage, "JUnit tells what came of cases, and --list runs none")
                .hint("for programs: wharf runtime test --list --format json")
                .into());
        }
        if self.format == ReportFormat::Json {
            let listed =
                |case: &&Case| Listed { id: case.id, profile: case.profile, sentence: case.sentence };
            console.json(&chosen.iter().map(listed).collect::<Vec<_>>())?;
            return Ok(DONE);
        }
        let mut table = Table::new(&["CASE", "SENTENCE"]);
        for case in chosen {
            table.row([case.id, case.sentence]);
        }
        let lines = table.render(None, &[]);
        if lines.iter().all(|line| console.columns.is_none_or(|columns| line.len() <= columns)) {
            lines.iter().try_for_each(|line| console.line(line))?;
            return Ok(DONE);
        }
        // A sentence must be readable, so it is not cut to the terminal's width.
        for case in chosen {
            console.line(case.id)?;
            console.line(&format!("    {}", case.sentence))?;
        }
        Ok(DONE)
    }
}

/// A case of the suite.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ConformanceCase"))]
pub(super) struct Listed {
    /// Its id.
    id: &'static str,
    /// Its profile.
    profile: Profile,
    /// The sentence of the contract that it tries.
    sentence: &'static str,
}

/// A program that listens or connects: the given script, or, where commands are run, this binary.
fn helper(
    config: &Config,
    source: &Source,
    shell: Option<&[String]>,
    option: &str,
    script: Option<String>,
    own: &[&str],
) -> Result<Option<(Source, Vec<String>)>> {
    if let Some(script) = script {
        let none =
            || Error::new(ErrorKind::Usage, format!("{option} is a script, and what is run takes none"));
        let args = shell.ok_or_else(none)?.iter().cloned().chain([script]).collect();
        return Ok(Some((source.clone(), args)));
    }
    let program = config.executable.display().to_string();
    let args = own.iter().map(|&arg| arg.to_owned()).collect();
    Ok(matches!(source, Source::Command { .. }).then_some((Source::Command { program }, args)))
}

fn told(case: &CaseReport) -> String {
    let (word, why) = match &case.result {
        CaseResult::Passed => ("passed ", ""),
        CaseResult::Failed(why) => ("FAILED ", why.as_str()),
        CaseResult::Skipped(why) => ("skipped", why.as_str()),
    };
    let mut text = format!("{word} {}", case.id);
    if !why.is_empty() {
        text.push_str(&format!(": {}", escape::line(why)));
    }
    if matches!(case.result, CaseResult::Failed(_)) {
        text.push_str(&format!("\n        {}", case.sentence));
        for line in case.stderr.lines() {
            text.push_str(&format!("\n        | {}", escape::line(line)));
        }
    }
    text
}

fn print_verdicts(report: &Report, console: &Console) -> std::io::Result<()> {
    console.line("")?;
    let mut table = Table::new(&["PROFILE", "VERDICT", "WHY"]);
    for profile in report.profiles.iter().filter(|profile| profile.verdict != Verdict::NotChosen) {
        let verdict = match profile.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::Partial => "in part",
            Verdict::NotClaimed => "not claimed",
            Verdict::NotChosen => "not chosen",
        };
        table.row([profile.profile.as_str(), verdict, &profile.reasons.join("; ")]);
    }
    for line in table.render(None, &[]) {
        console.line(&line)?;
    }
    let count = |is: fn(&CaseResult) -> bool| report.cases.iter().filter(|case| is(&case.result)).count();
    let passed = count(|result| *result == CaseResult::Passed);
    let failed = count(|result| matches!(result, CaseResult::Failed(_)));
    let skipped = count(|result| matches!(result, CaseResult::Skipped(_)));
    console.line(&format!("\n{passed} passed, {failed} failed, {skipped} skipped"))?;
    if passed == 0 {
        console.line("nothing was proved: no case passed")?;
    }
    Ok(())
}
