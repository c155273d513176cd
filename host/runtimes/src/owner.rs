//! Reaches the owner of a workload through the recorded endpoint, and proves that the recorded instance answers (R02, R08).
use crate::client::RuntimeClient;
use crate::deadlines::Purpose;
use crate::error::CallError;
use crate::registry::Plugins;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_model::{Advice, Error, ErrorKind, Result};
use wharf_model::{Owner, RunConfig};
use wharf_sdk::{ErrorCode, Observation, WorkloadState};

/// The pause before a listing is repeated that waits for its plugin's clearing up.
const CLEAR_UP_PAUSE: Duration = Duration::from_millis(100);

/// The runtime that a workload belongs to, proven. Commands call this before they change anything, supervisors before they
/// begin.
///
/// # Errors
/// Of kind [`ErrorKind::Owner`], with the workload, its owner, the fault and the remedy.
pub async fn connect_owner(plugins: &Plugins, host_id: &str, run: &RunConfig) -> Result<Arc<RuntimeClient>> {
    let client = connect(plugins, host_id, run).await?;
    prove_owner(&client, run).await.map_err(|error| error.hint("nothing was changed"))?;
    Ok(client)
}

/// The recorded runtime through the recorded endpoint, whichever instance answers there.
async fn connect(plugins: &Plugins, host_id: &str, run: &RunConfig) -> Result<Arc<RuntimeClient>> {
    let owner = recorded(run)?;
    let endpoint = (!owner.runtime_endpoint.is_empty()).then_some(owner.runtime_endpoint.as_str());
    let client = plugins.connect(&owner.runtime_name, endpoint, host_id).await;
    client.map_err(|error| cannot_be_asked(run, &owner, error.into(), false))
}

/// The owner, proven, with its observation of the workload: one question instead of two.
///
/// # Errors
/// As [`connect_owner`]; and where the owner has two resources of the workload.
pub async fn ask_owner(
    plugins: &Plugins,
    host_id: &str,
    run: &RunConfig,
) -> Result<(Arc<RuntimeClient>, Option<Observation>)> {
    let client = connect(plugins, host_id, run).await?;
    let seen = look(&client, host_id, run).await.map_err(|error| error.hint("nothing was changed"))?;
    Ok((client, seen))
}

/// Proves that the recorded instance answers now. Another engine may have taken the endpoint since the last call, so a
/// caller that keeps a client calls this before it makes anything new.
///
/// # Errors
/// As [`connect_owner`].
pub async fn prove_owner(client: &RuntimeClient, run: &RunConfig) -> Result<()> {
    let owner = recorded(run)?;
    let answered = client.instance().await.map_err(|error| refused_or_silent(run, &owner, error))?;
    same_instance(run, &owner, &answered.instance)
}

/// The recorded instance's observation of a workload, from one answer that names the instance and shows the workload, or
/// shows that it is absent. Called after each effect, before the effect is believed and recorded: another engine may have
/// answered the call that had the effect, even one that is gone again.
///
/// # Errors
/// As [`connect_owner`].
pub async fn look(client: &RuntimeClient, host_id: &str, run: &RunConfig) -> Result<Option<Observation>> {
    of_recorded(run, client.look(host_id, run.uid.as_str(), Purpose::Change).await)
}

/// The same for a caller that looks again and again: it waits no longer for one answer than who only shows it.
///
/// # Errors
/// As [`connect_owner`].
pub async fn look_briefly(
    client: &RuntimeClient,
    host_id: &str,
    run: &RunConfig,
) -> Result<Option<Observation>> {
    of_recorded(run, client.look(host_id, run.uid.as_str(), Purpose::Show).await)
}

/// The observation, if the recorded instance has made it.
fn of_recorded(
    run: &RunConfig,
    looked: std::result::Result<(String, Option<Observation>), CallError>,
) -> Result<Option<Observation>> {
    let owner = recorded(run)?;
    let (instance, seen) = looked.map_err(|error| refused_or_silent(run, &owner, error))?;
    same_instance(run, &owner, &instance)?;
    Ok(seen)
}

/// The same, once the plugin has cleared up behind a deployment that was given up: its listing waits for that, within the
/// deadline of a listing that is only shown, and is repeated for as long as `patience` lasts.
///
/// # Errors
/// As [`look`]; and of kind [`ErrorKind::Deadline`] if there was no answer in time, so that something may still appear.
pub async fn look_cleared_up(
    client: &RuntimeClient,
    host_id: &str,
    run: &RunConfig,
    patience: Duration,
) -> Result<Option<Observation>> {
    let owner = recorded(run)?;
    let deadline = Instant::now() + patience;
    loop {
        match client.look(host_id, run.uid.as_str(), Purpose::Show).await.map_err(Error::from) {
            Ok((instance, seen)) => {
                same_instance(run, &owner, &instance)?;
                return Ok(seen);
            }
            Err(error) if error.kind != ErrorKind::Deadline => {
                return Err(cannot_be_asked(run, &owner, error, false));
            }
            Err(error) if Instant::now() >= deadline => {
                return Err(error.while_doing("a resource of this deployment may still appear"));
            }
            Err(error) => {
                tracing::info!(%error, "resources of a deployment that was given up are not removed yet");
            }
        }
        tokio::time::sleep(CLEAR_UP_PAUSE).await;
    }
}

/// Proves that the recorded instance has no resource of a workload any more.
///
/// # Errors
/// As [`connect_owner`]; and where it still has one.
pub async fn prove_gone(client: &RuntimeClient, host_id: &str, run: &RunConfig) -> Result<()> {
    match look(client, host_id, run).await? {
        None => Ok(()),
        Some(seen) => Err(still_there(run, &seen, "still has it")),
    }
}

/// Proves that nothing of a workload runs in the recorded instance; returns its observation.
///
/// # Errors
/// As [`connect_owner`]; and where it still runs.
pub async fn prove_ended(
    client: &RuntimeClient,
    host_id: &str,
    run: &RunConfig,
) -> Result<Option<Observation>> {
    match look(client, host_id, run).await? {
        Some(seen) if matches!(seen.state, WorkloadState::Running | WorkloadState::Unknown) => {
            Err(still_there(run, &seen, "does not show it as ended"))
        }
        seen => Ok(seen),
    }
}

fn still_there(run: &RunConfig, seen: &Observation, what: &str) -> Error {
    let message = format!("the runtime '{}' {what}: {}", run.runtime_name, seen.object);
    Error::new(ErrorKind::Runtime, message).hint("look, and try again; nothing was taken off the record")
}

fn same_instance(run: &RunConfig, owner: &Owner, answered: &str) -> Result<()> {
    if answered == owner.runtime_instance {
        return Ok(());
    }
    let message = format!(
        "{} at {}, and another instance answers there: {answered}",
        belongs(run, owner),
        owner.runtime_instance,
    );
    Err(where_displaced(run).into_iter().fold(Error::new(ErrorKind::Owner, message), Error::advise))
}

/// The next steps for a workload in whose owner's place another instance answers, wherever that is told.
pub fn where_displaced(run: &RunConfig) -> [Advice; 3] {
    let name = run.name.to_string();
    [
        Advice::note("bring the recorded instance back"),
        Advice::Rebind { name: name.clone(), runtime: run.runtime_name.clone() },
        Advice::Forget { name },
    ]
}

/// Checks that an answer is that of the recorded instance.
pub(crate) fn same_owner(run: &RunConfig, answered: &str) -> Result<()> {
    same_instance(run, &recorded(run)?, answered)
}

fn recorded(run: &RunConfig) -> Result<Owner> {
    run.owner().ok_or_else(|| {
        Error::new(ErrorKind::Owner, format!("'{}' has no owner: no runtime is recorded for it", run.name))
            .advise(Advice::Adopt { name: run.name.to_string() })
    })
}

fn refused_or_silent(run: &RunConfig, owner: &Owner, error: CallError) -> Error {
    let is_refused = error.code() == Some(ErrorCode::PermissionDenied);
    cannot_be_asked(run, owner, error.into(), is_refused)
}

fn cannot_be_asked(run: &RunConfig, owner: &Owner, error: Error, is_refused: bool) -> Error {
    let doing = format!("{}, which cannot be asked", belongs(run, owner));
    let error = Error { kind: ErrorKind::Owner, ..error.while_doing(doing) };
    let Some(check) = owner.check_in_place() else { return error };
    let error = error.advise(check);
    // Situation: a namespace was removed, and with it the rights in it, or the account itself. Conclusion: its cluster answers, and
    // refuses to say what is there, as where credentials have run out; nobody but a person knows that it will never say it again.
    match is_refused {
        true => error
            .hint("if that place is gone for good, and not the right to see it alone, nothing but the record is left")
            .advise(Advice::Forget { name: run.name.to_string() }),
        false => error,
    }
}

fn belongs(run: &RunConfig, owner: &Owner) -> String {
    format!("'{}' belongs to {}", run.name, owner.words())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::{Uid, WorkloadName};

    #[test]
    fn a_place_that_cannot_be_asked_is_told_with_its_check_and_one_that_refuses_with_the_way_out() {
        let name = WorkloadName::new("time").unwrap();
        let mut run = RunConfig::new(Uid::random().unwrap(), name, "x");
        let advice = |run: &RunConfig, code| {
            let owner = run.owner().unwrap();
            refused_or_silent(run, &owner, CallError::Answered(wharf_sdk::Error::new(code, "no"))).advice
        };
        let at = |endpoint: &str| Owner {
            runtime_name: "kubernetes".to_owned(),
            runtime_instance: "i".to_owned(),
            runtime_endpoint: endpoint.to_owned(),
        };
        let owner = at("kubeconfig:/k?context=dev&namespace=team-a");
        run.set_owner(owner.clone());
        let forget = Advice::Forget { name: "time".to_owned() };
        let refused = advice(&run, ErrorCode::PermissionDenied);
        assert!(refused.contains(&owner.check()) && refused.contains(&forget), "{refused:?}");
        for code in [ErrorCode::Timeout, ErrorCode::Unavailable, ErrorCode::Internal] {
            assert_eq!(advice(&run, code), [owner.check()], "{code:?} says nothing of what is there");
        }
        run.set_owner(at(""));
        assert!(advice(&run, ErrorCode::PermissionDenied).is_empty(), "there is no other place");
    }
}
