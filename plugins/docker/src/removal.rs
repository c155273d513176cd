//! Stops and removes containers, for [`crate::runtime`] and for a deployment that fails ([`crate::deploy`]). If another
//! client is removing the container or has removed it, that is a success.
use crate::{engine::Engine, error::is_missing, flavor::Flavor, observe, runtime::ContainerRuntime};
use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use wharf_sdk::{Error, ErrorCode, Handle, Observation, Result};

impl ContainerRuntime {
    /// True if the workload has no container any more.
    ///
    /// # Errors
    /// That cannot be told, or the container is another's: then it is not to be touched.
    pub(crate) async fn is_gone(&self, handle: &Handle) -> Result<bool> {
        match self.observe(handle).await {
            Err(error) if error.code == ErrorCode::NotFound => Ok(true),
            seen => seen.map(|_| false),
        }
    }

    /// Lets a paused container go on that is to be stopped: Podman refuses to stop a paused one, and Docker does this
    /// itself. If that fails, the container is killed in the end.
    pub(crate) async fn unpause(&self, container: &str, seen: &Observation) {
        if !seen.is_paused() || self.flavor == Flavor::Docker {
            return;
        }
        let Ok(engine) = self.engine().await else { return };
        if let Err(error) = engine.client.unpause_container(container).await {
            tracing::warn!(%error, container, "a paused container does not go on");
        }
    }

    /// Stops a container; without time to end by itself, it is killed. A missing container is a success.
    pub(crate) async fn stop_container(&self, container: &str, timeout_ms: u64) -> Result<()> {
        let engine = self.engine().await?;
        let ended = if timeout_ms == 0 {
            let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
            engine.client.kill_container(container, Some(options)).await
        } else {
            let seconds = i32::try_from(timeout_ms.div_ceil(1000)).unwrap_or(i32::MAX);
            let options = StopContainerOptionsBuilder::new().t(seconds).build();
            engine.client.stop_container(container, Some(options)).await
        };
        match ended.map_err(|error| self.failed("the container cannot be stopped", &error)) {
            Err(error) if error.code == ErrorCode::NotFound || says_that_it_has_ended(&error) => Ok(()),
            // An engine answers a kill of a stopped container with an error; older versions of Podman report it as an
            // internal one. So the state decides.
            Err(error) if matches!(error.code, ErrorCode::FailedPrecondition | ErrorCode::Internal) => {
                let seen = engine.inspect(container).await;
                match seen.map_err(|error| self.failed("the container cannot be inspected", &error)) {
                    // It was paused after it was looked at, or cannot be unpaused; so it is killed: a paused process does not
                    // react to a stop.
                    Ok(seen) if observe::is_paused(&seen) && timeout_ms > 0 => {
                        Box::pin(self.stop_container(container, 0)).await
                    }
                    Ok(seen) if observe::runs(&seen) => Err(error),
                    Ok(_) => Ok(()),
                    Err(missing) if missing.code == ErrorCode::NotFound => Ok(()),
                    Err(_) => Err(error),
                }
            }
            other => other,
        }
    }

    /// Removes a container, running or not, and what is held for it here. Missing is success.
    pub(crate) async fn remove_container(&self, engine: &Engine, container: &str) -> Result<()> {
        drop(self.presences.take(container));
        match force_remove(engine, container).await {
            Err(error) => match self.failed("the container cannot be removed", &error) {
                missing if missing.code == ErrorCode::NotFound => Ok(()),
                error => Err(error),
            },
            Ok(()) => Ok(()),
        }
    }
}

/// Removes a container with everything that it wrote, killing it if it runs. If another client is removing it, waits for
/// that.
pub(crate) async fn force_remove(
    engine: &Engine,
    container: &str,
) -> std::result::Result<(), bollard::errors::Error> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match engine.client.remove_container(container, Some(options)).await {
        Err(error) if is_being_removed(&error) => {}
        other => return other,
    }
    let options = WaitContainerOptionsBuilder::new().condition("removed").build();
    let mut gone = std::pin::pin!(engine.client.wait_container(container, Some(options)));
    gone.next().await;
    match engine.inspect(container).await {
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(bollard::errors::Error::DockerResponseServerError {
            status_code: 409,
            message: "its removal has begun, and does not end".to_owned(),
        }),
    }
}

/// True of an engine's refusal to end a container because it has ended. Situation: a Podman that has much to do refuses a kill
/// with these words, and what it says to the question right after that does not show the end yet. Conclusion: the refusal
/// counts; the host looks in any case whether the container has ended.
fn says_that_it_has_ended(error: &Error) -> bool {
    ["state improper: stopped", "state improper: exited"].iter().any(|words| error.message.contains(words))
}

fn is_being_removed(error: &bollard::errors::Error) -> bool {
    matches!(error, bollard::errors::Error::DockerResponseServerError { status_code: 409, message }
        if message.contains("already in progress"))
}
