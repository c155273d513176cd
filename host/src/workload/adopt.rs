//! `adopt`: an owner for a workload that has none, on proof or by hand (R07), or a new instance for one that has.
use super::manager::Manager;
use crate::error::{Error, ErrorKind, Result};
use crate::reconcile::{Claim, claim, observe_all};
use crate::status::{OperationLock, Owner, RunConfig, WorkloadName};
use serde::Serialize;
use wharf_sdk::HealthState;

/// How an owner is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// By proof: every runtime is asked.
    Proof,
    /// By hand: the instance of this runtime that answers now. `rebind` allows to move an owner that is on record to
    /// another instance of the same runtime.
    Runtime {
        /// The runtime's name.
        name: String,
        /// Move an owner that is on record.
        rebind: bool,
    },
}

/// A workload with an owner that it did not have before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Adopted {
    /// Its name.
    pub name: String,
    /// The owner now.
    pub runtime_name: String,
    /// Its instance.
    pub runtime_instance: String,
    /// How it is reached.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_endpoint: String,
    /// The instance before, where it was rebound.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub previous_instance: String,
    /// The endpoint before, where it was rebound.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub previous_endpoint: String,
}

impl Manager {
    /// Stamps an owner. Nothing else in the RunConfig changes, and no runtime is told.
    ///
    /// # Errors
    /// Where the proof fails, or the workload has an owner: then nothing is changed.
    pub async fn adopt(&self, name: &WorkloadName, adoption: &Adoption) -> Result<Adopted> {
        let before = self.run_config(name)?;
        refuse_remote(&before)?;
        let owner = match adoption {
            Adoption::Proof => self.proven_owner(&before).await?,
            Adoption::Runtime { name, rebind } => self.chosen_owner(&before, name, *rebind).await?,
        };
        let operation = self.lock(name).await?;
        self.stamp(&before, owner, &operation)
    }

    /// Under the lock: what was decided on must still be so.
    fn stamp(&self, before: &RunConfig, owner: Owner, operation: &OperationLock) -> Result<Adopted> {
        let name = operation.name();
        let now = self.run_config(name)?;
        if now.uid != before.uid || now.owner() != before.owner() {
            let message = format!("'{name}' has changed since its owner was looked for; nothing was changed");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        self.store().update_run_config(name, &now.uid, |run| run.set_owner(owner.clone()))?;
        let previous = before.owner();
        Ok(Adopted {
            name: name.to_string(),
            runtime_name: owner.runtime_name,
            runtime_instance: owner.runtime_instance,
            runtime_endpoint: owner.runtime_endpoint,
            previous_instance: previous.as_ref().map(|it| it.runtime_instance.clone()).unwrap_or_default(),
            previous_endpoint: previous.map(|it| it.runtime_endpoint).unwrap_or_default(),
        })
    }

    async fn chosen_owner(&self, run: &RunConfig, runtime: &str, rebind: bool) -> Result<Owner> {
        let old = run.owner();
        if let Some(old) = old.as_ref().filter(|old| old.runtime_name != runtime) {
            let message = format!("'{}' belongs to the runtime '{}'", run.name, old.runtime_name);
            return Err(Error::new(ErrorKind::Conflict, message)
                .hint("an owner can be moved to another instance of the same runtime alone"));
        }
        let found = self.instance_of(runtime).await?;
        match (old, rebind) {
            (None, false) | (Some(_), true) => Ok(found),
            (None, true) => {
                let message = format!("'{}' has no owner that could be moved", run.name);
                Err(Error::new(ErrorKind::Conflict, message).hint("leave --rebind out"))
            }
            (Some(old), false) => {
                let message = format!(
                    "'{}' belongs to the runtime '{runtime}' at {} (endpoint {}); what answers now is {} (endpoint {})",
                    run.name,
                    old.runtime_instance,
                    shown(&old.runtime_endpoint),
                    found.runtime_instance,
                    shown(&found.runtime_endpoint)
                );
                Err(Error::new(ErrorKind::Conflict, message)
                    .hint(format!("to move it there: wharf adopt {} --runtime {runtime} --rebind", run.name)))
            }
        }
    }

    async fn instance_of(&self, runtime: &str) -> Result<Owner> {
        let client = self.plugins()?.connect(runtime, None).await?;
        let instance = client.instance().await.map_err(|error| Error {
            kind: ErrorKind::Owner,
            ..Error::from(error).while_doing(format!("the runtime '{runtime}' cannot be asked"))
        })?;
        Ok(Owner {
            runtime_name: runtime.to_owned(),
            runtime_instance: instance.instance,
            runtime_endpoint: instance.endpoint,
        })
    }

    async fn proven_owner(&self, run: &RunConfig) -> Result<Owner> {
        if let Some(owner) = run.owner() {
            let message = format!(
                "'{}' has an owner: the runtime '{}' at {}",
                run.name, owner.runtime_name, owner.runtime_instance
            );
            return Err(Error::new(ErrorKind::Conflict, message).hint(format!(
                "to move it to another instance: wharf adopt {} --runtime {} --rebind",
                run.name, owner.runtime_name
            )));
        }
        let configs = self.store().list_run_configs()?;
        let readable = configs.iter().filter_map(|(_, config)| config.as_ref().ok());
        let host_id = self.store().state().host_id()?.map(|id| id.to_string()).unwrap_or_default();
        let plugins = self.plugins()?;
        let observed = observe_all(plugins, &host_id, readable.clone()).await;
        let named: Vec<String> =
            readable.filter_map(RunConfig::owner).map(|owner| owner.runtime_name).collect();
        let mut silent = Vec::new();
        for (runtime, reason) in observed.silent() {
            // One that a workload names was here before; any other may show that it never was.
            if named.iter().any(|name| name == runtime) || self.leaves_a_trace(runtime).await {
                silent.push(format!("'{runtime}' ({reason})"));
            }
        }
        let refused = plugins.catalog().libraries().iter().filter_map(|library| {
            let error = library.stamp.as_ref().err()?;
            Some(format!("{} ({})", library.path.display(), crate::error::chain(error)))
        });
        silent.extend(refused);
        let resources = observed.resources();
        match claim(run.uid.as_str(), &resources, silent) {
            // The endpoint is recorded as the runtime itself tells it.
            Claim::Proven(owner) if owner.runtime_endpoint.is_empty() => {
                let told = self.instance_of(&owner.runtime_name).await?;
                if told.runtime_instance == owner.runtime_instance {
                    return Ok(told);
                }
                let message = format!("the runtime '{}' is another instance by now", owner.runtime_name);
                Err(Error::new(ErrorKind::Owner, message))
            }
            Claim::Proven(owner) => Ok(owner),
            other => Err(unproven(run, &other)),
        }
    }

    /// Whether a runtime that gives no answer may have something here: only it itself can deny that.
    async fn leaves_a_trace(&self, runtime: &str) -> bool {
        let Ok(plugins) = self.plugins() else { return true };
        let Ok(client) = plugins.connect(runtime, None).await else { return true };
        client.health().await.map_or(true, |health| health.state != HealthState::Undetected)
    }
}

fn refuse_remote(run: &RunConfig) -> Result<()> {
    if run.is_remote() {
        let message = format!("'{}' is a remote server, which has no owner", run.name);
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    Ok(())
}

fn shown(endpoint: &str) -> &str {
    if endpoint.is_empty() { "none" } else { endpoint }
}

fn unproven(run: &RunConfig, claim: &Claim) -> Error {
    let by_hand = format!("to decide by hand: wharf adopt {} --runtime NAME", run.name);
    let (kind, why) = match claim {
        Claim::Proven(_) | Claim::Unknown => {
            (ErrorKind::NotFound, "no runtime has anything of it".to_owned())
        }
        Claim::Ambiguous(claimants) => {
            (ErrorKind::Conflict, format!("it is ambiguous: {}", claimants.join(" and ")))
        }
        Claim::Undecided(silent) => {
            (ErrorKind::Owner, format!("it may be of a runtime that cannot be asked: {}", silent.join(", ")))
        }
    };
    Error::new(kind, format!("the owner of '{}' is unknown: {why}", run.name)).hint(by_hand)
}
