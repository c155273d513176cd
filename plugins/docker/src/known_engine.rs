//! The engine that a runtime works with: the one that was found, as long as it answers, of the kind that the runtime is named
//! after. What is said where there is none is here, too.
//!
//! Called by [`crate::runtime`] and by all that asks the engine something. It must not know what the engine is asked.
//!
//! Invariant: an engine that gave no answer is forgotten, so the next call asks anew which one is there.
use crate::{
    endpoint::endpoint_of,
    engine::Engine,
    error::{in_one, operation, trouble, unreachable},
    flavor::Flavor,
    hints,
    runtime::ContainerRuntime,
    search::Found,
};
use std::{
    io,
    path::Path,
    sync::{Arc, MutexGuard, PoisonError},
};
use wharf_sdk::{Error, ErrorCode, Health, Result};

impl ContainerRuntime {
    /// The engine. It must be of the kind that this runtime is named after.
    pub(crate) async fn engine(&self) -> Result<Arc<Engine>> {
        let socket = self.socket()?;
        let known = self.known().clone();
        if let Some(engine) = known {
            return Ok(engine);
        }
        let engine = Engine::reach(socket).await.map_err(|error| unreachable(self.flavor, socket, &error))?;
        if engine.flavor != self.flavor {
            return Err(as_error(&self.other_engine(socket, engine.flavor)));
        }
        Ok(self.same_or(engine))
    }

    /// The known engine if this one has the same version, so that all callers share one introduction.
    fn same_or(&self, engine: Engine) -> Arc<Engine> {
        let mut known = self.known();
        let same = known.clone().filter(|same| same.version == engine.version);
        known.insert(same.unwrap_or_else(|| Arc::new(engine.remembering(self.remembered.clone())))).clone()
    }

    fn known(&self) -> MutexGuard<'_, Option<Arc<Engine>>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the engine was found; an error that says what can be done where it was not.
    pub(crate) fn socket(&self) -> Result<&Path> {
        match &self.found {
            Found::Socket(socket) => Ok(socket),
            // A user who has the engine installed knows where its socket should be, so the places are not listed.
            Found::Nothing { is_installed: true, .. } => Err(as_error(&self.nothing("", true))),
            Found::Nothing { tried, .. } => Err(as_error(&self.nothing(&places(tried), false))),
            Found::Unusable { why } => Err(Error::unavailable(why.clone())),
        }
    }

    /// The fault that no engine answers. If its program is installed, the engine may have workloads here although it is not
    /// running now.
    fn nothing(&self, places: &str, is_installed: bool) -> Health {
        let title = self.flavor.title();
        let health = if is_installed {
            Health::unhealthy(format!("{title} is installed, but serves nobody{places}"))
        } else {
            Health::undetected(format!("{title} was not found{places}"))
        };
        health.with_remedy(hints::get(self.flavor, is_installed))
    }

    /// The fault that an engine of the other kind answers.
    fn other_engine(&self, socket: &Path, other: Flavor) -> Health {
        let variable = match other {
            Flavor::Docker => "DOCKER_HOST",
            Flavor::Podman => "CONTAINER_HOST",
        };
        let (here, there) = (self.flavor.title(), other.title());
        Health::unhealthy(format!("{there} answers on {}, and not {here}", socket.display())).with_remedy(
            format!(
                "use --runtime {}, with {variable}={} if it is not found by itself",
                other.runtime(),
                endpoint_of(socket),
            ),
        )
    }

    /// The error of an engine. If it gave no answer, the next call asks anew which engine is there.
    pub(crate) fn failed(&self, doing: &str, error: &bollard::errors::Error) -> Error {
        let error = operation(self.flavor, doing, error);
        self.note(&error);
        error
    }

    /// The same for an error of the SDK.
    pub(crate) fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|error| self.note(error))
    }

    fn note(&self, error: &Error) {
        if error.code == ErrorCode::Unavailable {
            *self.known() = None;
        }
    }

    /// The error for an engine that answered before and cannot be reached now.
    pub(crate) fn lost(&self, engine: &Engine, error: &io::Error) -> Error {
        *self.known() = None;
        unreachable(self.flavor, &engine.socket, error)
    }

    /// The instance of this engine.
    pub(crate) async fn instance_of(&self, engine: &Engine) -> Result<String> {
        engine.instance().await.map_err(|error| self.lost(engine, &error))
    }

    /// Whether the engine can be used here and now.
    pub(crate) async fn engine_health(&self) -> Health {
        let socket = match &self.found {
            Found::Socket(socket) => socket,
            Found::Unusable { why } => return Health::unhealthy(why.clone()),
            Found::Nothing { tried, is_installed } => return self.nothing(&places(tried), *is_installed),
        };
        match Engine::reach(socket).await {
            Ok(engine) if engine.flavor != self.flavor => self.other_engine(socket, engine.flavor),
            Ok(engine) => {
                let engine = self.same_or(engine);
                match engine.instance().await {
                    Ok(_) => Health::healthy(),
                    Err(error) => {
                        *self.known() = None;
                        trouble(self.flavor, socket, &error)
                    }
                }
            }
            Err(error) => trouble(self.flavor, socket, &error),
        }
    }
}

/// The fault of the machine, as the error of a call.
fn as_error(health: &Health) -> Error {
    in_one(&health.message, &health.remedy)
}

fn places(tried: &[String]) -> String {
    format!(" (tried {})", tried.join(", "))
}
