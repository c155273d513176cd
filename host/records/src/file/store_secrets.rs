//! The store's operations on proxy secrets: each makes, renews or reads one under the record lock of its workload.
use crate::error::{ReadError, StoreError};
use crate::file::atomic::{Durability, temporary_name};
use crate::file::folder::Folder;
use crate::file::locks::RecordLock;
use crate::file::proxy_secret::{
    Content, FILE_BYTES_MAX, Next, ProxySecret, ProxySecrets, clear_the_name, file_name,
};
use crate::file::store::Store;
use std::panic::resume_unwind;
use std::time::Duration;
use wharf_failpoint::{Point, reach};
use wharf_model::{
    IdError, ProxyAuth, RunConfig, SchemaVersion, StatusRecord, Uid, WorkloadName, random_hex,
};

/// A lock is held for the length of one write.
const LOCK_WAIT: Duration = Duration::from_secs(10);

impl Store {
    /// The secret of one creation of a workload, whose RunConfig has this `auth`.
    pub fn proxy_secret(
        &self,
        name: &WorkloadName,
        uid: &Uid,
        auth: ProxyAuth,
    ) -> Result<ProxySecret, ReadError> {
        ProxySecrets::new(self.state().clone()).read(name, uid, auth)
    }

    /// The same, but a missing or corrupt secret is made. For a caller that holds the workload's operation lock.
    pub fn make_proxy_secret(
        &self,
        name: &WorkloadName,
        uid: &Uid,
        auth: ProxyAuth,
    ) -> Result<ProxySecret, StoreError> {
        let _locked = self.lock_owned(name, uid)?;
        self.make_secret(name, uid, auth)
    }

    /// Writes the secret of a workload's clients, if its access has one, and its first status record. Neither depends on the
    /// other, so both are written at the same time.
    pub fn record_first(&self, run: &RunConfig, record: StatusRecord) -> Result<(), StoreError> {
        let (name, uid, auth) = (&run.name, &run.uid, run.auth());
        let _locked = self.lock_owned(name, uid)?;
        std::thread::scope(|scope| {
            let secret =
                auth.has_secret().then(|| scope.spawn(|| self.make_secret(name, uid, auth).map(drop)));
            let status = self.change_status(name, uid, Durability::Now, |_| Ok(record)).map(drop);
            let secret =
                secret.map_or(Ok(()), |secret| secret.join().unwrap_or_else(|panic| resume_unwind(panic)));
            reach(Point::ProxySecretMade);
            secret.and(status)
        })
    }

    /// Under the record lock.
    fn make_secret(
        &self,
        name: &WorkloadName,
        uid: &Uid,
        auth: ProxyAuth,
    ) -> Result<ProxySecret, StoreError> {
        match self.proxy_secret(name, uid, auth) {
            Err(error) if error.is_not_found() || error.is_corrupt() => self.write_secret(name, uid),
            // A folder in the place of the file is no secret either.
            Err(error) if error.path().is_dir() && !error.path().is_symlink() => self.write_secret(name, uid),
            Err(source) => Err(StoreError::Unreadable { name: name.clone(), source }),
            Ok(secret) => Ok(secret),
        }
    }

    /// Replaces the secret by a new one.
    pub fn renew_proxy_secret(&self, name: &WorkloadName, uid: &Uid) -> Result<ProxySecret, StoreError> {
        let _locked = self.lock_owned(name, uid)?;
        self.write_secret(name, uid)
    }

    /// Makes a secret that becomes valid at the moment at which the RunConfig says `to`; until then the one for `from` is
    /// valid. For a caller that is about to write that RunConfig.
    pub fn prepare_proxy_secret(
        &self,
        name: &WorkloadName,
        uid: &Uid,
        from: ProxyAuth,
        to: ProxyAuth,
    ) -> Result<(), StoreError> {
        let _locked = self.lock_owned(name, uid)?;
        let next = self.random_secret()?;
        let now = if from.has_secret() { self.proxy_secret(name, uid, from).ok() } else { None };
        let Some(now) = now else { return self.write_this_secret(name, uid, next, None).map(drop) };
        self.write_this_secret(name, uid, now.0, Some(Next { auth: to, secret: next })).map(drop)
    }

    /// Drops the secret for the former value that [`Self::prepare_proxy_secret`] has kept, once the RunConfig says `auth`.
    /// If a crash prevents this, the former secret is still not valid.
    pub fn settle_proxy_secret(
        &self,
        name: &WorkloadName,
        uid: &Uid,
        auth: ProxyAuth,
    ) -> Result<(), StoreError> {
        let _locked = self.lock_owned(name, uid)?;
        let secret = self
            .proxy_secret(name, uid, auth)
            .map_err(|source| StoreError::Unreadable { name: name.clone(), source })?;
        self.write_this_secret(name, uid, secret.0, None).map(drop)
    }

    /// Puts the former secret back, after a change that failed.
    pub fn put_back_proxy_secret(
        &self,
        name: &WorkloadName,
        uid: &Uid,
        old: &ProxySecret,
    ) -> Result<(), StoreError> {
        let _locked = self.lock_owned(name, uid)?;
        self.write_this_secret(name, uid, old.0.clone(), None).map(drop)
    }

    /// Takes the record lock of a workload whose RunConfig is of this creation; no other creation gets a secret.
    fn lock_owned(&self, name: &WorkloadName, uid: &Uid) -> Result<RecordLock<'static>, StoreError> {
        let locked = RecordLock::acquire_blocking(self.state(), name, LOCK_WAIT)
            .map_err(|source| StoreError::Locking { name: name.clone(), source })?;
        let run = self
            .read_run_config(name)
            .map_err(|source| StoreError::Unreadable { name: name.clone(), source })?;
        if run.uid != *uid {
            return Err(StoreError::UidConflict {
                name: name.clone(),
                expected: uid.clone(),
                found: run.uid,
            });
        }
        Ok(locked)
    }

    fn write_secret(&self, name: &WorkloadName, uid: &Uid) -> Result<ProxySecret, StoreError> {
        let secret = self.random_secret()?;
        self.write_this_secret(name, uid, secret, None)
    }

    fn random_secret(&self) -> Result<String, StoreError> {
        random_hex().map_err(|source| StoreError::NoRandomness { path: self.state().proxy_secrets(), source })
    }

    fn write_this_secret(
        &self,
        name: &WorkloadName,
        uid: &Uid,
        secret: String,
        next: Option<Next>,
    ) -> Result<ProxySecret, StoreError> {
        let path = self.state().proxy_secrets();
        let randomness = |source: IdError| StoreError::NoRandomness { path: path.clone(), source };
        let temporary = temporary_name(name.as_str()).map_err(randomness)?;
        let content = Content { schema_version: SchemaVersion::CURRENT, uid: uid.clone(), secret, next };
        let bytes = serde_json::to_vec(&content)
            .map_err(|source| StoreError::NotJson { name: name.clone(), source })?;
        let folder = Folder::open_or_make(&path)?;
        folder.sweep(name.as_str())?;
        clear_the_name(&folder, name)?;
        let old = folder.read(&file_name(name), FILE_BYTES_MAX).ok();
        folder.replace(&temporary, &file_name(name), &bytes, (old.as_deref(), Durability::Now))?;
        Ok(ProxySecret(content.secret))
    }
}
