//! Whom a workload's proxy serves: as its RunConfig and the file with its secret say, and how that is changed.
//!
//! A change is made by the process that serves: the supervisor, where there is one, so that what is written is what is
//! served, else the command itself. Either way the files come first: whatever dies in between, the next supervisor
//! serves by them.
use crate::client::messages::{AccessChange, Answer};
use std::net::IpAddr;
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{ProxyAuth, RunConfig, Uid, WorkloadName};
use wharf_proxy::{Access, AccessRule};
use wharf_records::Store;

/// What the files say. A secret that is missing, because its workload's creation was interrupted, is made.
///
/// # Errors
/// Where the secret cannot be had: then nobody is served. Where others could connect from elsewhere without a token.
pub(crate) fn rule(store: &Store, run: &RunConfig) -> Result<AccessRule> {
    check_exposure(&run.host, run.auth())?;
    if !run.auth().has_secret() {
        return Ok(AccessRule::Everybody);
    }
    let secret = store.make_proxy_secret(&run.name, &run.uid)?;
    Ok(match run.auth() {
        ProxyAuth::None => AccessRule::Everybody,
        ProxyAuth::Path => AccessRule::path(secret.expose()),
        ProxyAuth::Bearer => AccessRule::bearer(secret.expose()),
    })
}

/// A proxy that other machines can reach needs a token: paths are sent in the clear, and end in logs.
///
/// # Errors
/// Of kind [`ErrorKind::Usage`], with the way on.
pub fn check_exposure(host: &str, auth: ProxyAuth) -> Result<()> {
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_loopback || auth == ProxyAuth::Bearer {
        return Ok(());
    }
    let message = format!("{host} is not a loopback address: a proxy that others can reach needs a token");
    Err(Error::new(ErrorKind::Usage, message)
        .hint("ask for one with --auth bearer, and put a reverse proxy with TLS in front"))
}

/// Makes a change in the files; the RunConfig afterwards. A new way gets a new secret: a path may have been seen where
/// a token must not be.
///
/// # Errors
/// Where the change makes no sense, which is told before anything is written.
pub fn change(store: &Store, name: &WorkloadName, uid: &Uid, wanted: AccessChange) -> Result<RunConfig> {
    let run = store.read_run_config(name)?;
    let auth = wanted.auth.unwrap_or(run.auth());
    check_exposure(&run.host, auth)?;
    if wanted.rotate && !auth.has_secret() {
        let message = format!("'{name}' serves whoever can connect: there is no secret to replace");
        return Err(
            Error::new(ErrorKind::Usage, message).hint(format!("to have one: wharf url {name} --auth path"))
        );
    }
    if auth.has_secret() && (wanted.rotate || auth != run.auth()) {
        store.renew_proxy_secret(name, uid)?;
    }
    if wanted.auth == run.proxy_auth || wanted.auth.is_none() {
        return Ok(run);
    }
    Ok(store.update_run_config(name, uid, |run| run.proxy_auth = Some(auth))?)
}

/// The supervisor's hold on its proxy's access.
#[derive(Clone)]
pub(crate) struct AccessKeeper {
    pub(crate) store: Store,
    pub(crate) name: WorkloadName,
    pub(crate) uid: Uid,
    pub(crate) access: Access,
}

impl AccessKeeper {
    /// Makes a change and serves by it from now on.
    pub(crate) fn change(&self, wanted: AccessChange) -> Answer {
        let changed = change(&self.store, &self.name, &self.uid, wanted);
        // Also after a failure: it may have come between the two files.
        let served = self.serve_by_files();
        match changed.and(served) {
            Ok(()) => {
                tracing::info!("access to the proxy was changed; connections that were open are cut off");
                Answer::AccessChanged {}
            }
            Err(error) => Answer::refused(error),
        }
    }

    fn serve_by_files(&self) -> Result<()> {
        let run = self.store.read_run_config(&self.name)?;
        if run.uid != self.uid {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("'{}' is another workload by now", self.name),
            ));
        }
        self.access.replace(rule(&self.store, &run)?);
        Ok(())
    }
}
