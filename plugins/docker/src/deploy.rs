//! From a specification to a container that has not run, leaving nothing behind where that fails.
use crate::{
    container,
    engine::Engine,
    error::is_missing,
    handle::HandleData,
    image, labels, observe,
    runtime::{ContainerRuntime, remove},
};
use bollard::{models::ContainerCreateBody, query_parameters::CreateContainerOptionsBuilder};
use std::sync::Arc;
use tokio::sync::oneshot;
use wharf_sdk::{Error, ErrorCode, Handle, Result, WorkloadSpec, WorkloadState};

type Made = std::result::Result<String, bollard::errors::Error>;

impl ContainerRuntime {
    /// Makes the container, and runs nothing of it.
    pub(crate) async fn make(&self, spec: &WorkloadSpec) -> Result<Handle> {
        let body = container::body(self.flavor, spec)?;
        let engine = self.engine().await?;
        image::fetch_missing(self, &engine, spec).await?;
        self.clear_earlier(&engine, spec).await?;
        let made = create(engine, container::name(spec), body).await;
        let container = made.map_err(|error| {
            let mut failed = self.failed("the container cannot be made", &error);
            // What is missing is something that it needs: nothing was made.
            if is_missing(&error) {
                failed.code = ErrorCode::FailedPrecondition;
            }
            failed
        })?;
        let target_port = container::target_port(spec);
        Ok(HandleData { container, target_port, taken: None }.to_handle(&spec.uid))
    }

    /// Makes sure that nothing of an earlier deployment of this uid is left.
    async fn clear_earlier(&self, engine: &Engine, spec: &WorkloadSpec) -> Result<()> {
        let ours = [format!("{}={}", labels::HOST_ID, spec.host_id), format!("{}={}", labels::UID, spec.uid)];
        let seen = engine.list(&ours).await;
        let seen = seen.map_err(|error| self.failed("an earlier container cannot be looked for", &error))?;
        for seen in seen {
            let Some(container) = seen.id.clone() else { continue };
            if observe::of_summary(seen).is_some_and(|seen| seen.state == WorkloadState::Running) {
                let message = format!("the workload is deployed already, and runs as container {container}");
                return Err(Error::new(ErrorCode::AlreadyExists, message));
            }
            self.clear(engine, &container).await?;
        }
        Ok(())
    }
}

/// Makes a container. The request is a task of its own: where the answer is not wanted any more by the time it comes,
/// the container is removed again.
async fn create(engine: Arc<Engine>, name: String, body: ContainerCreateBody) -> Made {
    let (answer, answered) = oneshot::channel::<Made>();
    tokio::spawn(async move {
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let made = engine.client.create_container(Some(options), body).await;
        if let Err(Ok(container)) = answer.send(made.map(|made| made.id))
            && let Err(error) = remove(&engine, &container).await
        {
            tracing::warn!(%error, container, "the container of an abandoned deployment stays");
        }
    });
    answered.await.unwrap_or_else(|_| Err(bollard::errors::Error::RequestTimeoutError))
}
