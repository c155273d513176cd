//! What every command needs: records, plugins, locks, and the owner of a workload.
use wharf_runtimes::handle_of;
use wharf_runtimes::{ask_owner, connect_owner};

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};
use wharf_model::nearest;
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{RunConfig, StatusRecord, WorkloadName};
use wharf_records::{OperationLock, ReadError, RecordKind, Store, Watch};
use wharf_runtimes::{Plugins, RuntimeClient};
use wharf_sdk::{Handle, Observation};
use wharf_supervisor::Config;
use wharf_supervisor::ControlError;
use wharf_supervisor::client::control;

/// How long a command waits for another one on the same workload.
pub(crate) const OPERATION_WAIT: Duration = Duration::from_secs(60);

/// The owner of a workload, and what it showed of it when it was asked last.
pub(crate) struct AtOwner {
    pub(crate) client: Arc<RuntimeClient>,
    pub(crate) seen: Option<Observation>,
}

impl AtOwner {
    /// How the owner reaches what it shows, if it shows anything.
    ///
    /// # Errors
    /// Where it shows something, and does not say how to reach it.
    pub(crate) fn shown_handle(&self, run: &RunConfig) -> Result<Option<Handle>> {
        let Some(seen) = &self.seen else { return Ok(None) };
        let unreachable = || {
            let message =
                format!("the runtime '{}' has it, and does not say how to reach it", run.runtime_name);
            Error::new(ErrorKind::Owner, message).while_doing(format!("'{}'", run.name))
        };
        seen.handle.clone().map(Some).ok_or_else(unreachable)
    }
}

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
    pub(crate) fn host_id(&self) -> Result<String> {
        Ok(self.store.make_host_id()?.to_string())
    }

    /// The same for those who only read: empty where nothing was ever made.
    pub(crate) fn known_host_id(&self) -> Result<String> {
        Ok(self.store.host_id()?.map(|id| id.to_string()).unwrap_or_default())
    }

    /// The plugins. Searched at the first use, loaded one by one as they are needed.
    ///
    /// Reading must not write: a host that has no id yet has no workloads either, and is asked with an empty one.
    pub fn plugins(&self) -> Result<&Plugins> {
        if let Some(plugins) = self.plugins.get() {
            return Ok(plugins);
        }
        let host_id = self.known_host_id()?;
        let plugins = Plugins::new(self.config.connect_options(&host_id));
        Ok(self.plugins.get_or_init(|| plugins))
    }

    /// Ends what loaded plugins run in this process.
    pub async fn shut_down(&self) {
        if let Some(plugins) = self.plugins.get() {
            plugins.shut_down(Duration::from_secs(2)).await;
        }
    }

    pub(crate) async fn lock(&self, name: &WorkloadName) -> Result<OperationLock> {
        Ok(OperationLock::acquire(self.store.state(), name, OPERATION_WAIT).await?)
    }

    /// The lock for a command that ends a workload: a start that is under way is given up for it.
    pub(crate) async fn lock_to_end(&self, name: &WorkloadName) -> Result<OperationLock> {
        match OperationLock::try_acquire(self.store.state(), name) {
            // Whoever else holds it is waited for.
            Err(error) if error.is_busy() => tokio::select! {
                lock = self.lock(name) => lock,
                never = self.cancel_start(name) => match never {},
            },
            other => Ok(other?),
        }
    }

    /// Asks the supervisor to give its start up, as soon as it can be spoken to: between the lock that a start takes
    /// and its supervisor's socket there is a while. Starts that come later have a right to their turn.
    async fn cancel_start(&self, name: &WorkloadName) -> Infallible {
        let sockets = self.store.state().control();
        let mut watch = Watch::new().ok();
        loop {
            // The watch first: a socket that comes in between is asked in the next round.
            watch = watch.filter(|watch| watch.folder(&sockets).is_ok());
            let asked = control::cancel(self.store.state(), name, OPERATION_WAIT).await;
            let may_come = match (&asked, &mut watch) {
                (Err(ControlError::Silent { .. }), Some(watch)) => watch.changed().await.is_ok(),
                _ => false,
            };
            if !may_come {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The RunConfig of a workload that must exist.
    pub(crate) fn run_config(&self, name: &WorkloadName) -> Result<RunConfig> {
        self.store.read_run_config(name).map_err(|error| self.not_found(name, error))
    }

    /// The status record, if there is one.
    pub(crate) fn record(&self, name: &WorkloadName) -> Result<Option<StatusRecord>> {
        match self.store.read_status(name) {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The status record for a command that holds the operation lock. A corrupt one is set aside, with all its bytes:
    /// what it said is asked of the owner.
    pub(crate) fn record_or_set_aside(&self, operation: &OperationLock) -> Result<Option<StatusRecord>> {
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
    pub(crate) async fn handle(
        &self,
        run: &RunConfig,
        record: Option<&StatusRecord>,
        client: &RuntimeClient,
    ) -> Result<Option<Handle>> {
        if let Some(handle) = handle_of(record)? {
            return Ok(Some(handle));
        }
        self.find(run, client).await
    }

    /// The workload by its labels alone.
    pub(crate) async fn find(&self, run: &RunConfig, client: &RuntimeClient) -> Result<Option<Handle>> {
        let found = client.find(&self.host_id()?, run.uid.as_str()).await;
        // Its labels first: what was taken over may have been made anew, and the record of that been lost.
        let found = found.map(|found| found.or_else(|| run.taken_over()));
        found.map_err(|error| Error {
            kind: ErrorKind::Owner,
            ..Error::from(error).while_doing(format!("what there is of '{}' is not known", run.name))
        })
    }

    fn not_found(&self, name: &WorkloadName, error: ReadError) -> Error {
        if let Err(blind) = self.refuse_blindness() {
            return blind;
        }
        if !error.is_not_found() {
            return error.into();
        }
        let known = self.store.list_run_configs().unwrap_or_default();
        let nearest = nearest(name.as_str(), known.iter().map(|(other, _)| other.as_str()));
        let error = Error::new(ErrorKind::NotFound, format!("there is no workload named '{name}'"));
        match nearest {
            Some(nearest) => error.hint(format!("did you mean '{nearest}'?")),
            None => error.hint("see: wharf list --all"),
        }
    }

    /// See [`ask_owner`].
    pub(crate) async fn ask_owner(&self, run: &RunConfig) -> Result<AtOwner> {
        let (client, seen) = ask_owner(self.plugins()?, &self.host_id()?, run).await?;
        Ok(AtOwner { client, seen })
    }

    /// See [`connect_owner`].
    pub(crate) async fn owner(&self, run: &RunConfig) -> Result<Arc<RuntimeClient>> {
        connect_owner(self.plugins()?, run).await
    }
}
