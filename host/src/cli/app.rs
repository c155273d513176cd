//! The definition of the command line, and the way from its arguments to an exit code. `main` calls [`main`].
use super::console::{Console, Format};
use super::environment::{EnvironmentOptions, own_umask};
use super::failure::{DONE, Failure, Outcome, ended, severity};
use super::{
    adopt, call, completion, docker_options, doctor, edit_arguments, export, import, known_options, list,
    logs, man_pages, mcp, output, reconcile, restart, rm, run_arguments, run_line, runtime, serve, start,
    status, stop, tools, url, version,
};
use clap::error::{ContextKind, ContextValue, ErrorKind as ClapErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use wharf::commands::{Context, Host};
use wharf_model::{Error, ErrorKind};
use wharf_runtimes::leave;

/// Run MCP servers, and other workloads, on whatever is at hand.
#[derive(Parser)]
#[command(
    name = "wharf",
    version,
    propagate_version = false,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "See 'wharf COMMAND --help' for more about a command, 'wharf --help' for examples and exit codes.",
    after_long_help = after_long_help()
)]
pub(super) struct Cli {
    #[command(flatten)]
    environment: EnvironmentOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Box<run_arguments::Run>),
    #[command(visible_alias = "ls")]
    List(list::List),
    Status(status::Status),
    Url(url::Url),
    Edit(Box<edit_arguments::Edit>),
    Start(start::Start),
    Stop(stop::Stop),
    Restart(restart::Restart),
    #[command(visible_alias = "remove")]
    Rm(rm::Rm),
    Logs(logs::Logs),
    Tools(tools::Tools),
    Call(call::Call),
    Resources(tools::Resources),
    Prompts(tools::Prompts),
    Reconcile(reconcile::Reconcile),
    Adopt(adopt::Adopt),
    #[command(subcommand)]
    Import(import::Import),
    Export(export::Export),
    #[command(subcommand)]
    Runtime(runtime::Runtime),
    Doctor(doctor::Doctor),
    Serve(serve::Serve),
    #[command(subcommand)]
    Mcp(mcp::Mcp),
    Completion(completion::Completion),
    ManPages(man_pages::ManPages),
    Version(version::Version),
}

impl Command {
    /// How its errors are printed.
    fn format(&self) -> Format {
        match self {
            Self::Run(command) => command.format,
            Self::List(command) => command.errors(),
            Self::Status(command) => command.format,
            Self::Url(command) => command.format,
            Self::Edit(command) => command.format,
            Self::Start(command) => command.format,
            Self::Stop(command) => command.format,
            Self::Restart(command) => command.format,
            Self::Rm(command) => command.format,
            Self::Tools(command) => command.format,
            Self::Call(command) => command.format,
            Self::Resources(command) => command.format,
            Self::Prompts(command) => command.format,
            Self::Reconcile(command) => command.format,
            Self::Adopt(command) => command.format,
            Self::Import(command) => command.format(),
            Self::Runtime(command) => command.format(),
            Self::Doctor(command) => command.format,
            Self::Version(command) => command.format,
            Self::Logs(_)
            | Self::Export(_)
            | Self::Serve(_)
            | Self::Mcp(_)
            | Self::Completion(_)
            | Self::ManPages(_) => Format::Text,
        }
    }

    /// Runs a command that needs neither environment nor settings.
    fn execute_anywhere(&self, console: &Console) -> Option<Outcome> {
        match self {
            Self::Completion(command) if command.is_script() => Some(command.execute(&mut Cli::command())),
            Self::ManPages(command) => Some(command.execute(Cli::command())),
            Self::Version(command) => Some(command.execute(console)),
            _ => None,
        }
    }

    async fn execute(&self, context: &Context, console: &Arc<Console>) -> Outcome {
        match self {
            Self::Run(command) => command.execute(context, console).await,
            Self::List(command) => command.execute(context, console).await,
            Self::Status(command) => command.execute(context, console).await,
            Self::Url(command) => command.execute(context, console).await,
            Self::Edit(command) => command.execute(context, console).await,
            Self::Start(command) => command.execute(context, console).await,
            Self::Stop(command) => command.execute(context, console).await,
            Self::Restart(command) => command.execute(context, console).await,
            Self::Rm(command) => command.execute(context, console).await,
            Self::Logs(command) => command.execute(context, console).await,
            Self::Tools(command) => command.execute(context, console).await,
            Self::Call(command) => command.execute(context, console).await,
            Self::Resources(command) => command.execute(context, console).await,
            Self::Prompts(command) => command.execute(context, console).await,
            Self::Export(command) => command.execute(context, console),
            Self::Reconcile(command) => command.execute(context, console).await,
            Self::Adopt(command) => command.execute(context, console).await,
            Self::Import(command) => command.execute(context, console).await,
            Self::Runtime(command) => command.execute(context, console).await,
            Self::Doctor(command) => command.execute(context, console).await,
            Self::Serve(command) => command.execute(context, console).await,
            Self::Mcp(command) => command.execute(context, console).await,
            Self::Completion(command) => command.say_words(context),
            Self::ManPages(command) => command.execute(Cli::command()),
            Self::Version(command) => command.execute(console),
        }
    }
}

/// Runs the command line, and ends the process.
pub(crate) fn main() -> ! {
    own_umask();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let console = Arc::new(Console::of_process());
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(Misuse::OfRun(error)) => {
            let format = if wants_json(&arguments) { Format::Json } else { Format::Text };
            console.error(&error, format);
            leave(error.kind.exit_code());
        }
        Err(Misuse::Parsed(error)) => leave(answer_to_usage(&error, &arguments, &console)),
    };
    // Taken before any code of a plugin can run.
    let outcome = output::take().map_err(Failure::from).and_then(|()| execute(&cli, &console));
    let code = match outcome.and_then(|code| ended(code, console.flush())) {
        Ok(code) => code,
        Err(failure) => report(failure, cli.command.format(), &console),
    };
    leave(code)
}

/// Arguments that make no sense.
enum Misuse {
    /// An option of `run` after SERVER.
    OfRun(Error),
    /// In the words of the parser.
    Parsed(clap::Error),
}

fn parse(arguments: &[OsString]) -> Result<Cli, Misuse> {
    let mut arguments = arguments.to_vec();
    if arguments.iter().any(|argument| argument == "run") {
        arguments = run_line::separated(arguments, &Cli::command()).map_err(Misuse::OfRun)?;
    }
    Cli::try_parse_from(&arguments).map_err(|mut error| {
        let command = Cli::command();
        let named = arguments.iter().filter_map(|argument| argument.to_str());
        let named = named.filter(|argument| command.find_subcommand(argument).is_some());
        known_options::advise(&mut error, named.into_iter().next());
        Misuse::Parsed(error)
    })
}

fn execute(cli: &Cli, console: &Arc<Console>) -> Outcome {
    if let Some(outcome) = cli.command.execute_anywhere(console) {
        return outcome;
    }
    cli.environment.start_log()?;
    let environment = cli.environment.clone();
    let host = Host::new(move || environment.config());
    let mut builder = match &cli.command {
        // Several clients at once.
        Command::Serve(_) | Command::Mcp(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| Error::caused(ErrorKind::Failed, "nothing can be run", &error))?;
    let outcome = runtime.block_on(within(cli, &host, console));
    // Does not wait for threads of plugins.
    runtime.shutdown_background();
    outcome
}

async fn within(cli: &Cli, host: &Arc<Host>, console: &Arc<Console>) -> Outcome {
    // With a handler, a write beyond the user's limit of a file's size (RLIMIT_FSIZE) fails, and the signal does not kill
    // the process in the middle of a change. It is handled, not ignored, since children would inherit that.
    let _handled = signal(SignalKind::from_raw(libc::SIGXFSZ));
    if cli.command.format() == Format::Text {
        let console = console.clone();
        host.on_wait(move |name, longest| {
            let seconds = longest.as_secs();
            console.note(&format!(
                "'{name}': another command works on it; waiting for that one, {seconds} s at most"
            ));
        });
    }
    let context = match (host.context(), &cli.command) {
        (Ok(context), _) => context,
        (Err(error), Command::Doctor(doctor)) => return doctor.without_config(&error, console),
        (Err(error), _) => return Err(error.into()),
    };
    let outcome = cli.command.execute(&context, console).await;
    host.shut_down().await;
    outcome
}

fn report(failure: Failure, format: Format, console: &Console) -> u8 {
    let Some(error) = failure.reported() else { return DONE };
    console.error(&error, format);
    error.kind.exit_code()
}

/// Answers `--help`, `--version` and wrong arguments in the words of the parser, which knows the usage.
fn answer_to_usage(error: &clap::Error, arguments: &[OsString], console: &Console) -> u8 {
    let asked = matches!(error.kind(), ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion);
    if let Some(error) = of_docker(error, arguments) {
        let format = if wants_json(arguments) { Format::Json } else { Format::Text };
        console.error(&error, format);
        return error.kind.exit_code();
    }
    if !asked && wants_json(arguments) {
        let text = error.to_string();
        // The first paragraph is the fault, the others are advice.
        let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
        let message = message.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ");
        let error = rest
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .filter(|line| !line.starts_with("For more information"))
            .fold(Error::new(ErrorKind::Usage, message), |error, line| {
                error.hint(line.trim_start_matches("tip: "))
            });
        console.error(&error, Format::Json);
        return ErrorKind::Usage.exit_code();
    }
    let printed = error.print().and_then(|()| console.flush());
    // Help and version are results; here, too, a closed pipe is no error.
    match (asked, printed) {
        (true, Ok(())) => DONE,
        (true, Err(error)) => report(error.into(), Format::Text, console),
        (false, _) => ErrorKind::Usage.exit_code(),
    }
}

/// The error for an option that `docker run` has and `wharf run` has not. The parser would suggest whatever is spelled like
/// it.
fn of_docker(error: &clap::Error, arguments: &[OsString]) -> Option<Error> {
    let is_run = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "run");
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return None };
    if !is_run || error.kind() != ClapErrorKind::UnknownArgument {
        return None;
    }
    let given = given.split('=').next().unwrap_or_default();
    let message = format!("'wharf run' does not have the option '{given}' of 'docker run'");
    Some(Error::new(ErrorKind::Usage, message).hint(docker_options::why_not(given)?))
}

/// Whether errors are to be JSON, found out from arguments that could not be parsed.
fn wants_json(arguments: &[OsString]) -> bool {
    let ours = || arguments.iter().take_while(|argument| argument.as_os_str() != "--");
    ours().any(|argument| argument == "--format=json")
        || ours()
            .zip(ours().skip(1))
            .any(|(option, value)| option == "--format" && value == OsStr::new("json"))
}

fn after_long_help() -> String {
    let mut text = String::from(
        "Examples:
  wharf run uvx://mcp-server-time              a package of PyPI; prints the URL for MCP clients
  wharf run --name everything npx://@modelcontextprotocol/server-everything
  wharf run ./my-server --verbose              a command of this machine, with an argument
  wharf list                                   what runs, and where
  wharf logs -f time                           what a workload writes
  wharf stop --all                             stop everything

Exit codes:
  0  done
",
    );
    for kind in ErrorKind::ALL {
        text.push_str(&format!("  {}  {}\n", kind.exit_code(), kind.meaning()));
    }
    let mut order = ErrorKind::ALL;
    order.sort_by_key(|kind| std::cmp::Reverse(severity(*kind)));
    let order = order.map(|kind| kind.exit_code().to_string()).join(", ");
    text.push_str(&format!(
        "Of several failures the gravest one decides, in this order: {order}.

Results go to stdout, everything else to stderr. With --format json an error is
JSON on stderr: {{\"error\": {{\"kind\", \"message\", \"advice\"}}}}. Keys are absent when empty."
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_docker_run_are_here_or_say_what_stands_for_them() {
        let run = Cli::command();
        let run = run.find_subcommand("run").unwrap();
        let has = |name: &str| {
            run.get_arguments().any(|argument| match name.strip_prefix("--") {
                Some(long) => {
                    argument.get_long() == Some(long)
                        || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
                }
                None => argument.get_short().map(|short| format!("-{short}")).as_deref() == Some(name),
            })
        };
        for option in docker_options::OPTIONS {
            let is_here = !matches!(option.meaning, docker_options::Meaning::Not(_));
            assert!(option.names.iter().all(|name| has(name) == is_here), "{:?}", option.names);
        }
        let told = |option: &str| {
            let arguments = ["wharf", "run", option, "x"].map(OsString::from);
            of_docker(&Cli::try_parse_from(&arguments).err().unwrap(), &arguments).map(|error| error.message)
        };
        assert!(told("--gpus").is_some_and(|told| told.contains("'--gpus'") && !told.contains("cpus'")));
        assert!(told("-p=1:2").is_some() && told("--no-such-option").is_none());
    }

    #[test]
    fn the_form_of_errors_is_told_from_arguments_that_make_no_sense() {
        let wants = |text: &str| wants_json(&text.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(wants("wharf stop --format json ../x"));
        assert!(wants("wharf stop ../x --format=json"));
        assert!(!wants("wharf run x -- --format json"));
        assert!(!wants("wharf stop ../x"));
    }
}
