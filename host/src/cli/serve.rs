//! `serve`.
use super::console::Console;
use super::end_signals::EndSignals;
use super::failure::{DONE, Outcome};
use super::serve_unit;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use wharf::api::{ServeOptions, Serving, default_socket, openapi, read_token};
use wharf::commands::Context;
use wharf_model::{Error, ErrorKind};

const EXAMPLES: &str = "Examples:
  wharf serve
  curl --unix-socket ~/.local/state/wharf/api/wharf.sock http://localhost/api/v1beta/workloads
  wharf serve --listen 127.0.0.1:8080
  curl -H \"Authorization: Bearer $(wharf serve --show-token)\" http://127.0.0.1:8080/api/v1beta/workloads

It prints each place that it listens at, one a line. A signal (SIGTERM, SIGINT, SIGHUP) ends it; workloads run on.";

/// Serve the REST API
///
/// On a Unix socket that is yours alone; on a port only where you ask for one, and then with a token.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Serve {
    /// The Unix socket [default: api/wharf.sock in the state directory]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Listen on this port of loopback, too; clients send the token. Port 0 is one that is free
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Listen on no Unix socket
    #[arg(long, requires = "listen", conflicts_with = "socket")]
    no_socket: bool,
    /// Reconcile about so often, in seconds: what should run and does not is started
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = every)]
    reconcile_every: Duration,
    /// Do not reconcile
    #[arg(long)]
    no_reconcile: bool,
    /// Print the token that clients of the port send, and serve nothing
    #[arg(long, conflicts_with_all = ["socket", "listen", "no_socket", "openapi"])]
    show_token: bool,
    /// Write a unit of systemd that serves with these options, and serve nothing now
    #[arg(long, conflicts_with_all = ["show_token", "openapi"])]
    install_unit: bool,
    /// The unit is the system's, not yours
    #[arg(long, requires = "install_unit")]
    system: bool,
    /// Print the API's OpenAPI document, and serve nothing
    #[arg(long, conflicts_with_all = ["socket", "listen", "no_socket"])]
    openapi: bool,
}

fn every(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.2..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "it is from 0.2 to 86400 seconds".to_owned())
}

impl Serve {
    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        if self.openapi {
            console.json(&openapi())?;
            return Ok(DONE);
        }
        if self.show_token {
            let token = read_token(&context.config().state())?;
            let none = || {
                Error::new(ErrorKind::NotFound, "there is no token yet: it is made when a port is served")
                    .hint("run: wharf serve --listen 127.0.0.1:8080")
            };
            console.line(&token.ok_or_else(none)?)?;
            return Ok(DONE);
        }
        if self.install_unit {
            return serve_unit::install(context.config(), &self.arguments()?, self.system, console);
        }
        self.serve(context, console).await
    }

    fn absolute_socket(&self) -> Result<Option<PathBuf>, Error> {
        let absolute = self.socket.as_ref().map(std::path::absolute).transpose();
        absolute.map_err(|error| Error::caused(ErrorKind::Usage, "the path of the socket", &error))
    }

    /// The options that it serves with, for a unit.
    fn arguments(&self) -> Result<Vec<String>, Error> {
        let mut arguments = Vec::new();
        if let Some(socket) = self.absolute_socket()? {
            arguments.push(format!("--socket={}", socket.display()));
        }
        if let Some(address) = self.listen {
            arguments.push(format!("--listen={address}"));
        }
        if self.no_socket {
            arguments.push("--no-socket".to_owned());
        }
        if self.no_reconcile {
            arguments.push("--no-reconcile".to_owned());
        } else {
            arguments.push(format!("--reconcile-every={}", self.reconcile_every.as_secs_f64()));
        }
        Ok(arguments)
    }

    async fn serve(&self, context: &Context, console: &Console) -> Outcome {
        let signals = EndSignals::heard()?;
        let socket = self.absolute_socket()?;
        let socket = socket.unwrap_or_else(|| default_socket(&context.config().state()));
        let socket = (!self.no_socket).then_some(socket);
        let reconcile_every = (!self.no_reconcile).then_some(self.reconcile_every);
        let options = ServeOptions { socket: socket.clone(), port: self.listen, reconcile_every };
        let serving = Serving::bind(context.host().clone(), &options).await?;
        if let Some(socket) = socket {
            console.line(&format!("unix:{}", socket.display()))?;
        }
        if let Some(address) = serving.port() {
            console.line(&format!("http://{address}"))?;
            console.note("clients of the port send a token: wharf serve --show-token");
        }
        console.flush()?;
        signals.end(|shutdown| serving.serve(shutdown)).await?;
        Ok(DONE)
    }
}
