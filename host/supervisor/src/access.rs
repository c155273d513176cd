//! The clients that may use a workload's proxy: read from its RunConfig and the file with its secret, and changed there.
//!
//! A change is made by the process that serves: by the supervisor, if there is one, so that the written rule is the one
//! that is served by; otherwise by the command itself. The files are written first: if the process dies in between, the
//! next supervisor serves by them.
use crate::client::messages::{AccessChange, Answer};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use wharf_model::{Advice, Error, ErrorKind, Result, Setting};
use wharf_model::{ProxyAuth, RunConfig, Uid, WorkloadName};
use wharf_proxy::{Access, AccessRule};
use wharf_records::{ProxySecret, Store};

/// The rule in the files. A missing secret is made: the creation of its workload was interrupted.
///
/// # Errors
/// The secret cannot be read or made: then nobody is served. Or other machines could connect without a token.
pub(crate) fn rule(store: &Store, run: &RunConfig) -> Result<AccessRule> {
    check_recorded_exposure(run, run.auth())?;
    if !run.auth().has_secret() {
        return Ok(AccessRule::Everybody);
    }
    let secret = store.make_proxy_secret(&run.name, &run.uid, run.auth())?;
    Ok(match run.auth() {
        ProxyAuth::None => AccessRule::Everybody,
        ProxyAuth::Path => AccessRule::path(secret.expose()),
        ProxyAuth::Bearer => AccessRule::bearer(secret.expose()),
    })
}

/// The advice for a proxy that other machines can reach: without TLS, tokens can be read on the way.
const TLS: &str = "put a reverse proxy with TLS in front";

/// Refuses a proxy that other machines can reach without a token: a path is sent in the clear, and ends in logs.
///
/// # Errors
/// Of kind [`ErrorKind::Usage`], with the next step.
pub fn check_exposure(host: &str, auth: ProxyAuth) -> Result<()> {
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_loopback || auth == ProxyAuth::Bearer {
        return Ok(());
    }
    let message = format!("{host} is not a loopback address: a proxy that others can reach needs a token");
    Err(Error::new(ErrorKind::Usage, message)
        .advise(Advice::Choose { setting: Setting::Auth, value: Some(ProxyAuth::Bearer.as_str().to_owned()) })
        .hint(TLS))
}

/// The same for an existing workload, whose record is changed by another command than the one that creates it.
fn check_recorded_exposure(run: &RunConfig, auth: ProxyAuth) -> Result<()> {
    check_exposure(&run.host, auth).map_err(|error| {
        let advice = Advice::SetAuth { name: run.name.to_string(), auth: ProxyAuth::Bearer };
        Error { advice: Vec::new(), ..error }.advise(advice).hint(TLS)
    })
}

/// Makes a change in the files; returns the new RunConfig. A new `proxy_auth` gets a new secret: a path may have been seen
/// by somebody who must not know the token.
///
/// # Errors
/// The change makes no sense; then nothing was written. Or the files cannot be written: then the old secret still holds, or
/// a hint says that it does not.
pub fn change(store: &Store, name: &WorkloadName, uid: &Uid, wanted: AccessChange) -> Result<RunConfig> {
    let run = store.read_run_config(name)?;
    let auth = wanted.auth.unwrap_or(run.auth());
    check_recorded_exposure(&run, auth)?;
    if wanted.rotate && !auth.has_secret() {
        let message = format!("'{name}' serves whoever can connect: there is no secret to replace");
        let advice = Advice::SetAuth { name: name.to_string(), auth: ProxyAuth::Path };
        return Err(Error::new(ErrorKind::Usage, message).advise(advice));
    }
    let old = store.proxy_secret(name, uid, run.auth()).ok();
    write(store, &run, uid, wanted).map_err(|error| match keep_secret(store, &run, uid, old.as_ref()) {
        SecretAfter::Kept => error,
        SecretAfter::Replaced => {
            error.hint("its secret is new").advise(Advice::ShowUrl { name: name.to_string() })
        }
    })
}

/// Writes a change. Another `proxy_auth` gets another secret, which holds from the moment at which the record has it.
fn write(store: &Store, run: &RunConfig, uid: &Uid, wanted: AccessChange) -> Result<RunConfig> {
    let (name, before) = (&run.name, run.auth());
    let auth = wanted.auth.unwrap_or(before);
    if auth == before && wanted.rotate {
        store.renew_proxy_secret(name, uid)?;
    }
    if wanted.auth == run.proxy_auth || wanted.auth.is_none() {
        return Ok(run.clone());
    }
    let is_new = auth != before && auth.has_secret();
    if is_new {
        store.prepare_proxy_secret(name, uid, before, auth)?;
    }
    let changed = store.update_run_config(name, uid, |run| run.proxy_auth = Some(auth))?;
    if is_new && let Err(error) = store.settle_proxy_secret(name, uid, auth) {
        tracing::debug!(%name, %error, "the secret of the way before stays in its file, and is of no use");
    }
    Ok(changed)
}

/// The secret of a workload after a change that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SecretAfter {
    Kept,
    Replaced,
}

/// After a change that failed: puts the old secret back if the RunConfig is the old one. If the RunConfig has the new
/// `proxy_auth`, the old secret must not come back.
fn keep_secret(store: &Store, before: &RunConfig, uid: &Uid, old: Option<&ProxySecret>) -> SecretAfter {
    let Some(old) = old else { return SecretAfter::Kept };
    let is_kept = || store.proxy_secret(&before.name, uid, before.auth()).is_ok_and(|now| now == *old);
    let is_old_record =
        store.read_run_config(&before.name).is_ok_and(|now| now.uid == *uid && now.auth() == before.auth());
    if is_old_record && is_kept() {
        // The prepared secret for the other `proxy_auth` is never used, so a failure to drop it is no error.
        let _ = store.settle_proxy_secret(&before.name, uid, before.auth());
    } else if is_old_record && let Err(error) = store.put_back_proxy_secret(&before.name, uid, old) {
        tracing::warn!(name = %before.name, %error, "its old secret cannot be written back");
    }
    if is_kept() { SecretAfter::Kept } else { SecretAfter::Replaced }
}

/// Lets the supervisor change the access to its proxy.
#[derive(Clone)]
pub(crate) struct AccessKeeper {
    pub(crate) store: Store,
    pub(crate) name: WorkloadName,
    pub(crate) uid: Uid,
    pub(crate) access: Access,
    /// Held during a change: no other change may come between its files and the rule that is served by.
    pub(crate) turn: Arc<Mutex<()>>,
}

impl AccessKeeper {
    /// Makes a change, and serves by it from now on. None, and nothing is changed, if `is_wanted` says no; it is asked when
    /// it is this change's turn.
    pub(crate) fn change(&self, wanted: AccessChange, is_wanted: impl FnOnce() -> bool) -> Option<Answer> {
        // The lock protects only the files. After a panic they are as after the death of a process, which every reader can
        // cope with.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        is_wanted().then(|| self.change_now(wanted))
    }

    fn change_now(&self, wanted: AccessChange) -> Answer {
        let changed = change(&self.store, &self.name, &self.uid, wanted);
        // Also after a failure: one of the two files may have been written.
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
