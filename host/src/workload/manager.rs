//! What every command needs: records, plugins, locks, and the owner of a workload.
use super::stop::handle_of;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::plugin::{Plugins, RuntimeClient};
use crate::status::{OperationLock, ReadError, RecordKind, RunConfig, StatusRecord, Store, WorkloadName};
use crate::supervise::control;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use wharf_sdk::Handle;

/// How long a command waits for another one on the same workload.
pub(super) const OPERATION_WAIT: Duration = Duration::from_secs(60);

/// The command layer of one state directory.
pub struct Manager {
    config: Config,
    store: Store,
    plugins: OnceLock<Plugins>,
}

impl Manager {
    /// The command layer; touches nothing yet.
    pub fn new(config: Config) -> Self {
        let store = Store::new(config.state());
        Self { config, store, plugins: OnceLock::new() }
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The records.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The id that labels what this host makes; made at the first command that changes something.
    pub(super) fn host_id(&self) -> Result<String> {
        Ok(self.store.state().make_host_id()?.to_string())
    }

    /// The plugins. Searched at the first use, loaded one by one as they are needed.
    ///
    /// Reading must not write: a host that has no id yet has no workloads either, and is asked with an empty one.
    pub fn plugins(&self) -> Result<&Plugins> {
        if let Some(plugins) = self.plugins.get() {
            return Ok(plugins);
        }
        let host_id = self.store.state().host_id()?.map(|id| id.to_string()).unwrap_or_default();
        let plugins = Plugins::new(self.config.connect_options(&host_id));
        Ok(self.plugins.get_or_init(|| plugins))
    }

    /// Ends what loaded plugins run in this process.
    pub async fn shut_down(&self) {
        if let Some(plugins) = self.plugins.get() {
            plugins.shut_down(Duration::from_secs(2)).await;
        }
    }

    pub(super) async fn lock(&self, name: &WorkloadName) -> Result<OperationLock> {
        Ok(OperationLock::acquire(self.store.state(), name, OPERATION_WAIT).await?)
    }

    /// The lock for a command that ends a workload: a start that is under way is given up for it.
    pub(super) async fn lock_to_end(&self, name: &WorkloadName) -> Result<OperationLock> {
        match OperationLock::try_acquire(self.store.state(), name) {
            Err(error) if error.is_busy() => {
                // Whoever else holds it is waited for.
                let _ = control::cancel(self.store.state(), name, OPERATION_WAIT).await;
                self.lock(name).await
            }
            other => Ok(other?),
        }
    }

    /// The RunConfig of a workload that must exist.
    pub(super) fn run_config(&self, name: &WorkloadName) -> Result<RunConfig> {
        self.store.read_run_config(name).map_err(|error| self.not_found(name, error))
    }

    /// The status record, if there is one.
    pub(super) fn record(&self, name: &WorkloadName) -> Result<Option<StatusRecord>> {
        match self.store.read_status(name) {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The status record for a command that holds the operation lock. A corrupt one is set aside, with all its bytes:
    /// what it said is asked of the owner.
    pub(super) fn record_or_set_aside(&self, operation: &OperationLock) -> Result<Option<StatusRecord>> {
        let name = operation.name();
        match self.store.read_status(name) {
            Err(error) if error.is_corrupt() => {
                let aside = self.store.quarantine(RecordKind::Status, operation)?;
                tracing::warn!(%name, aside = %aside.display(), "a corrupt status record was set aside");
                Ok(None)
            }
            _ => self.record(name),
        }
    }

    /// How the owner finds the workload: by the recorded handle, or by its labels where none is recorded, because a
    /// supervisor died between a deployment and the record.
    pub(super) async fn handle(
        &self,
        run: &RunConfig,
        record: Option<&StatusRecord>,
        client: &RuntimeClient,
    ) -> Result<Option<Handle>> {
        if let Some(handle) = handle_of(record)? {
            return Ok(Some(handle));
        }
        let found = client.find(&self.host_id()?, run.uid.as_str()).await;
        found.map_err(|error| Error {
            kind: ErrorKind::Owner,
            ..Error::from(error).while_doing(format!("whether '{}' has left anything is not known", run.name))
        })
    }

    fn not_found(&self, name: &WorkloadName, error: ReadError) -> Error {
        /// How alike two names must be for one to be proposed (0 to 1).
        const ALIKE: f64 = 0.8;
        if !error.is_not_found() {
            return error.into();
        }
        let known = self.store.list_run_configs().unwrap_or_default();
        let alike = |other: &WorkloadName| strsim::jaro_winkler(name.as_str(), other.as_str());
        let nearest = known
            .into_iter()
            .map(|(other, _)| other)
            .filter(|other| alike(other) >= ALIKE)
            .max_by(|a, b| alike(a).total_cmp(&alike(b)));
        let error = Error::new(ErrorKind::NotFound, format!("there is no workload named '{name}'"));
        match nearest {
            Some(nearest) => error.hint(format!("did you mean '{nearest}'?")),
            None => error.hint("see: wharf list --all"),
        }
    }

    /// The owner of a workload, reached through the recorded endpoint, and proven to be the recorded instance.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Owner`], naming the workload, its owner, what is wrong and what to do (R08).
    pub(super) async fn owner(&self, run: &RunConfig) -> Result<Arc<RuntimeClient>> {
        let Some(owner) = run.owner() else {
            return Err(Error::new(
                ErrorKind::Owner,
                format!("'{}' has no owner: no runtime is recorded for it", run.name),
            )
            .hint(format!("find it: wharf adopt {}", run.name)));
        };
        let doing = format!("'{}' belongs to the runtime '{}'", run.name, owner.runtime_name);
        let endpoint = (!owner.runtime_endpoint.is_empty()).then_some(owner.runtime_endpoint.as_str());
        let asked = async {
            let client = self.plugins()?.connect(&owner.runtime_name, endpoint).await.map_err(Error::from)?;
            let instance = client.instance().await.map_err(Error::from)?;
            Ok::<_, Error>((client, instance))
        };
        let (client, instance) = asked.await.map_err(|error| Error {
            kind: ErrorKind::Owner,
            ..error.while_doing(format!("{doing}, which cannot be asked"))
        })?;
        if instance.instance != owner.runtime_instance {
            let message = format!(
                "{doing} at {}, and another instance answers there: {}",
                owner.runtime_instance, instance.instance
            );
            return Err(Error::new(ErrorKind::Owner, message)
                .hint("nothing was changed; bring the recorded instance back"));
        }
        Ok(client)
    }
}
