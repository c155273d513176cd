//! `url`.
use super::console::{Console, Format};
use super::failure::{DONE, Failure, Outcome};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::Path;
use wharf::commands::{self, Context};
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{ProxyAuth, WorkloadName};
use wharf_records::ProxySecret;
use wharf_supervisor::AccessChange;

const EXAMPLES: &str = "Examples:
  wharf url time
  wharf url time --rotate                  another URL; the old one is refused from now on
  wharf url time --auth bearer             a token instead of a secret path
  curl --unix-socket \"$(wharf url time --unix-socket)\" http://localhost/mcp ...
  curl -H \"Authorization: Bearer $(wharf url time --token)\" ...";

/// Print the URL for a workload's clients, with its secret part
///
/// Every client that knows the URL can use the workload: its path holds 128 random bits, kept in a file that only you can
/// read, the same over restarts. With `--auth bearer` a token in the header Authorization takes their place, with `--auth
/// none` everybody on this machine is served at /mcp. A change holds at once: requests that show the old secret are
/// refused, and open connections are cut off.
///
/// A workload that was run with --unix-socket serves you on a Unix socket too, at /mcp and without a secret: its folder and
/// its file are yours alone.
///
/// JSON: an object of name, url, auth (none, path, bearer), unix_socket if it has one, and with --token token.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Url {
    /// The workload's name
    name: WorkloadName,
    /// Replace the secret by a new one
    #[arg(long)]
    rotate: bool,
    /// Whom its proxy serves from now on, with a new secret
    #[arg(long, value_enum, hide_possible_values = true, value_name = "path|bearer|none")]
    auth: Option<AuthOption>,
    /// Print the path of its Unix socket instead; of one that was run with --unix-socket
    #[arg(long, conflicts_with_all = ["token", "rotate", "auth"])]
    unix_socket: bool,
    /// Print the token for the header Authorization instead; of one with --auth bearer
    #[arg(long)]
    token: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// `--auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AuthOption {
    Path,
    Bearer,
    None,
}

impl From<AuthOption> for ProxyAuth {
    fn from(option: AuthOption) -> Self {
        match option {
            AuthOption::Path => Self::Path,
            AuthOption::Bearer => Self::Bearer,
            AuthOption::None => Self::None,
        }
    }
}

/// The URL of a workload.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "WorkloadUrl"))]
pub(super) struct Shown<'a> {
    /// Its name.
    name: &'a str,
    /// The URL, with its secret part.
    url: &'a str,
    /// The clients that its proxy serves.
    auth: ProxyAuth,
    /// The Unix socket that serves its user, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    unix_socket: Option<&'a Path>,
    /// The token for the header Authorization; with --token alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl Url {
    pub(super) async fn execute(&self, context: &Context, console: &Console) -> Outcome {
        let wanted = AccessChange { auth: self.auth.map(ProxyAuth::from), rotate: self.rotate };
        if self.token {
            self.refuse_without_token(context)?;
        }
        if wanted != AccessChange::default() {
            commands::change_access(context, &self.name, wanted).await?;
        }
        let url = commands::url(context, &self.name)?;
        let unix_socket = url.unix_socket.as_deref();
        if self.unix_socket {
            self.refuse_without_socket(unix_socket)?;
        }
        let token = url.token.as_ref().filter(|_| self.token).map(ProxySecret::expose);
        let printed = match (self.format, token) {
            (Format::Json, token) => {
                console.json(&Shown { name: &url.name, url: &url.url, auth: url.auth, unix_socket, token })
            }
            (Format::Text, Some(token)) => console.line(token),
            (Format::Text, None) => match unix_socket.filter(|_| self.unix_socket) {
                Some(path) => console.line(&path.display().to_string()),
                None => console.line(&url.url),
            },
        };
        printed.map_err(|error| {
            if wanted == AccessChange::default() {
                return Failure::from(error);
            }
            let done =
                format!("the access to '{name}' was changed; its URL: wharf url {name}", name = self.name);
            Failure::untold(done)(error)
        })?;
        Ok(DONE)
    }

    fn refuse_without_socket(&self, unix_socket: Option<&Path>) -> Result<()> {
        if unix_socket.is_some() {
            return Ok(());
        }
        let message = format!("'{}' has no Unix socket", self.name);
        Err(Error::new(ErrorKind::Usage, message)
            .hint("one that is run with --unix-socket has: wharf run --unix-socket SERVER"))
    }

    /// Called before anything is changed.
    fn refuse_without_token(&self, context: &Context) -> Result<()> {
        let auth = match self.auth {
            Some(auth) => auth.into(),
            None => commands::auth(context, &self.name)?,
        };
        if auth == ProxyAuth::Bearer {
            return Ok(());
        }
        let message = format!("'{}' has no token: its proxy has --auth {}", self.name, auth.as_str());
        Err(Error::new(ErrorKind::Usage, message)
            .hint(format!("to have one: wharf url {} --auth bearer --token", self.name)))
    }
}
