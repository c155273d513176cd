//! [`on_deployment`]: the work that is one question to the owner, or one change of the records, with its outcome as an event.
//!
//! Called by the performer (`effects.rs`) for all work that needs nothing but the deployment. It must not know the locks, the
//! proxy, the clients, nor why the machine asked for the work; an error goes back as it is, and the performer classifies it.
use crate::deployment::Deployment;
use crate::machine::{At, Clearing, Ending, Event, State, Work};
use std::time::Duration;
use wharf_model::{Error, ErrorKind, Result};

/// Does this work; an error if it is none for a deployment alone.
pub(crate) async fn on_deployment(deployment: &mut Deployment, work: Work, state: &State) -> Result<Event> {
    match work {
        Work::RecordSupervisor => deployment.record_supervisor().await?,
        Work::LookForEarlier => return deployment.look_for_earlier().await.map(Event::Found),
        Work::AwaitResumed => deployment.await_resumed().await?,
        Work::PutEarlierAside => {
            let earlier = deployment.earlier.clone();
            deployment.put_aside(earlier.as_ref()).await?;
        }
        Work::PutAside => {
            let handle = deployment.handle.clone();
            deployment.put_aside(handle.as_ref()).await?;
        }
        Work::ProveMade => deployment.prove_made().await?,
        Work::RecordHandle => deployment.record_handle(state.restarting).await?,
        Work::Start => deployment.start().await?,
        Work::AskExit => {
            let succeeded = deployment.exit().await.is_some_and(|exit| exit.code == Some(0));
            if succeeded {
                tracing::info!("its input was over before it was started, and it is started once more");
            }
            return Ok(Event::Exited(Ending {
                succeeded,
                was_away: false,
                restarts: false,
                ran_for: Duration::ZERO,
            }));
        }
        Work::RecordReady => deployment.record_ready().await?,
        Work::StopKept => deployment.stop_kept().await?,
        Work::Remove => {
            let is_start = state.at == At::Clearing(Clearing::GiveUp);
            return deployment.remove_given_up(is_start).await.map(|any| Event::Removed { any });
        }
        Work::ProveEnded => deployment.prove_put_aside().await?,
        Work::ProveGone => deployment.prove_gone().await?,
        Work::ProveOwner => deployment.prove_owner().await?,
        Work::CheckWanted => return Ok(Event::Wanted(!deployment.is_unwanted())),
        other => {
            let message = format!("{other:?} is done elsewhere");
            return Err(Error::new(ErrorKind::Failed, message));
        }
    }
    Ok(Event::Done)
}
