//! `url`: the URL and the secret with which clients reach a workload, and changes of who may use it.
use crate::commands::context::Context;
use crate::commands::locking::lock_operation;
use crate::commands::lookup::read_run_config;
use wharf_model::{Advice, Error, ErrorKind, Result};

use std::{path::PathBuf, time::Duration};
use wharf_model::{LockKind, ProxyAuth, RunConfig, WorkloadName};
use wharf_records::{LifeProbe, ProxySecret, ProxySecrets, ReadError};
use wharf_supervisor::change as change_now;
use wharf_supervisor::client::control;
use wharf_supervisor::{AccessChange, ControlError};

/// How long a supervisor may take to write two files.
const CHANGE_WAIT: Duration = Duration::from_secs(15);
/// Stands for the secret part of a path.
const HIDDEN: &str = "…";

/// The URL of a workload's proxy, with its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientUrl {
    /// Its name.
    pub name: String,
    /// The URL, with its secret part if there is one.
    pub url: String,
    /// The clients that may use the proxy.
    pub auth: ProxyAuth,
    /// The token that clients send, where there is one.
    pub token: Option<ProxySecret>,
    /// The Unix socket that serves its user at `/mcp` without a secret, if there is one.
    pub unix_socket: Option<PathBuf>,
}

/// The URL and the secret of a workload's proxy. Writes nothing.
///
/// # Errors
/// It has no port yet, or its secret cannot be read.
pub fn url(context: &Context, name: &WorkloadName) -> Result<ClientUrl> {
    let run = read_run_config(context, name)?;
    if run.is_remote() {
        let url = run.remote_url;
        let (auth, token, unix_socket) = (ProxyAuth::None, None, None);
        return Ok(ClientUrl { name: name.to_string(), url, auth, token, unix_socket });
    }
    if run.port == 0 {
        let is_starting = LifeProbe::open(context.store().state())?.is_held(name, LockKind::Life)?;
        let name = name.to_string();
        let (why, advice) = match is_starting {
            true => ("it is being started, and its port is chosen meanwhile", Advice::ShowStatus { name }),
            false => ("its port is chosen when it is started", Advice::Start { name }),
        };
        let message = format!("'{}' has no URL yet: {why}", run.name);
        return Err(Error::new(ErrorKind::Conflict, message).advise(advice));
    }
    let secrets = context.secrets();
    let url =
        client_url(&run, &secrets).map(|url| ClientUrl { unix_socket: unix_socket(context, &run), ..url });
    url.map_err(|error| {
        let is_lost = error.is_not_found() || error.is_corrupt();
        let error = Error::from(error).while_doing(format!("the secret of '{name}' cannot be had"));
        if is_lost {
            Error { kind: ErrorKind::Failed, advice: Vec::new(), ..error }
                .advise(Advice::RotateSecret { name: name.to_string() })
        } else {
            error
        }
    })
}

/// The clients that may use the proxy of a workload.
pub fn auth(context: &Context, name: &WorkloadName) -> Result<ProxyAuth> {
    Ok(read_run_config(context, name)?.auth())
}

/// Changes who may use the proxy of a workload, at once if it runs: requests with the old secret are refused from then on,
/// and open connections are cut off.
///
/// # Errors
/// The change makes no sense, or its supervisor refuses it: then nothing is changed. Of kind [`ErrorKind::Deadline`] if its
/// supervisor gave no answer: then it is unknown whether the change was made.
pub async fn change_access(context: &Context, name: &WorkloadName, wanted: AccessChange) -> Result<()> {
    read_run_config(context, name)?;
    let _operation = lock_operation(context, name).await?;
    let run = read_run_config(context, name)?;
    if run.is_remote() {
        let message = format!("'{name}' is a remote server, which wharf has no proxy for");
        return Err(Error::new(ErrorKind::Usage, message));
    }
    if !LifeProbe::open(context.store().state())?.is_held(name, LockKind::Life)? {
        change_now(context.store(), name, &run.uid, wanted)?;
        return Ok(());
    }
    match control::change_access(context.store().state(), name, wanted, CHANGE_WAIT).await {
        Ok(()) => Ok(()),
        Err(ControlError::Refused { kind, message, advice }) => Err(Error { kind, message, advice }),
        Err(error @ ControlError::Silent { was_asked, .. }) => Err(silent(name, &error, was_asked)),
    }
}

/// The URL of a workload that has a port. Empty, with a warning in the log, if its secret cannot be read.
pub(crate) fn url_of(context: &Context, run: &RunConfig) -> String {
    client_url(run, &context.secrets()).map(|found| found.url).unwrap_or_else(|error| {
        tracing::warn!(name = %run.name, %error, "its URL cannot be told");
        String::new()
    })
}

/// The Unix socket of a workload's proxy, if it is to have one.
pub(crate) fn unix_socket(context: &Context, run: &RunConfig) -> Option<PathBuf> {
    run.unix_socket.then(|| context.store().state().client_socket(&run.name))
}

/// The error for a supervisor that gave no answer.
fn silent(name: &WorkloadName, error: &ControlError, was_asked: bool) -> Error {
    let error = if was_asked {
        let doing = format!("whether the access to '{name}' was changed is not known");
        Error::caused(ErrorKind::Deadline, doing, error).advise(Advice::ShowUrl { name: name.to_string() })
    } else {
        let doing = format!("the supervisor of '{name}' was not told to change it");
        Error::caused(ErrorKind::Failed, doing, error)
    };
    error
        .hint("it may be of an earlier version, whose workload is changed while it is stopped")
        .advise(Advice::Stop { name: name.to_string() })
}

/// The URL and the secret of a workload that has a port.
pub(crate) fn client_url(
    run: &RunConfig,
    secrets: &ProxySecrets,
) -> std::result::Result<ClientUrl, ReadError> {
    let auth = run.auth();
    let secret = if auth.has_secret() { Some(secrets.read(&run.name, &run.uid, auth)?) } else { None };
    let (path, token) = match (auth, secret) {
        (ProxyAuth::Path, Some(secret)) => (wharf_proxy::secret_path(secret.expose()), None),
        (ProxyAuth::Bearer, token) => (wharf_proxy::PATH.to_owned(), token),
        (ProxyAuth::None | ProxyAuth::Path, _) => (wharf_proxy::PATH.to_owned(), None),
    };
    Ok(ClientUrl {
        name: run.name.to_string(),
        url: url_at(&run.host, run.port, &path),
        auth,
        token,
        unix_socket: None,
    })
}

/// The URL of a workload that has a port, with its secret hidden, for output that may be shown to others.
pub(crate) fn shown_url(run: &RunConfig) -> String {
    match run.auth() {
        ProxyAuth::Path => url_at(&run.host, run.port, &wharf_proxy::secret_path(HIDDEN)),
        ProxyAuth::None | ProxyAuth::Bearer => url_at(&run.host, run.port, wharf_proxy::PATH),
    }
}

fn url_at(host: &str, port: u16, path: &str) -> String {
    let host = match host {
        "0.0.0.0" | "::" | "" => "127.0.0.1".to_owned(),
        v6 if v6.contains(':') && !v6.starts_with('[') => format!("[{v6}]"),
        other => other.to_owned(),
    };
    format!("http://{host}:{port}{path}")
}
