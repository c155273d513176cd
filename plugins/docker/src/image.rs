//! Makes sure that the engine has a workload's image, as its pull policy wants it, and reports the progress of a pull.
use crate::{
    container, credentials, engine::Engine, error::is_missing, platform::Platform, reference::Reference,
    runtime::ContainerRuntime, search::Surroundings,
};
use bollard::{
    models::{CreateImageInfo, ImageInspect},
    query_parameters::CreateImageOptionsBuilder,
};
use futures_util::StreamExt;
use std::collections::HashMap;
use wharf_sdk::{Error, ErrorCode, PullPolicy, Result, WorkloadSpec, document::Event};

/// An image that the engine has.
#[derive(Default)]
pub(crate) struct Provided {
    pub(crate) id: String,
    /// The user that it runs as; empty for root.
    pub(crate) user: String,
    /// The variables that it sets, each as `NAME=VALUE`.
    pub(crate) env: Vec<String>,
    /// The ports that it exposes, such as `8000/tcp`.
    pub(crate) exposed: Vec<String>,
    /// None if the engine does not say.
    pub(crate) platform: Option<Platform>,
}

impl Provided {
    fn of(found: ImageInspect) -> Self {
        let platform = found.os.zip(found.architecture).filter(|(os, of)| !os.is_empty() && !of.is_empty());
        let config = found.config.unwrap_or_default();
        Self {
            id: found.id.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            env: config.env.unwrap_or_default(),
            exposed: config.exposed_ports.unwrap_or_default(),
            platform: platform.map(|(os, architecture)| Platform::new(&os, &architecture)),
        }
    }
}

impl Provided {
    /// The value of a variable that the image sets.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        let mut set = self.env.iter().filter_map(|set| set.split_once('='));
        set.find_map(|(set, value)| (set == name).then_some(value))
    }

    /// The port that it exposes, if that is a single one of TCP.
    pub(crate) fn single_port(&self) -> Option<u16> {
        let of_tcp = |exposed: &String| exposed.split('/').nth(1).is_none_or(|protocol| protocol == "tcp");
        let mut ports = self.exposed.iter().filter(|exposed| of_tcp(exposed));
        let port = ports.next()?.split('/').next()?.parse().ok()?;
        (ports.next().is_none() && port > 0).then_some(port)
    }
}

/// Makes sure that the engine has the image of a workload.
pub(crate) async fn provide(
    runtime: &ContainerRuntime,
    engine: &Engine,
    spec: &WorkloadSpec,
) -> Result<Provided> {
    let image = container::image(spec)?;
    let policy = spec.pull.unwrap_or_default();
    if policy != PullPolicy::Always {
        match engine.client.inspect_image(image.text).await {
            Ok(found) => return Ok(Provided::of(found)),
            Err(error) if is_missing(&error) && policy == PullPolicy::Missing => {}
            Err(error) if is_missing(&error) => {
                let message = format!(
                    "{} does not have the image '{}', which is never to be pulled; pull it, or use --pull missing",
                    runtime.flavor.title(),
                    image.text
                );
                return Err(Error::precondition(message));
            }
            Err(error) => {
                return Err(
                    runtime.failed(&format!("the image '{}' cannot be looked for", image.text), &error)
                );
            }
        }
    }
    pull(runtime, engine, spec, &image).await?;
    // An engine may end its answer without an error although the pull failed, so the image is looked up.
    match engine.client.inspect_image(image.text).await {
        Ok(found) => Ok(Provided::of(found)),
        Err(error) => Err(not_pulled(runtime, image.text, &error)),
    }
}

async fn pull(
    runtime: &ContainerRuntime,
    engine: &Engine,
    spec: &WorkloadSpec,
    image: &Reference<'_>,
) -> Result<()> {
    let tell = |progress| {
        let message = format!("pulling image '{}'", image.text);
        runtime.host.event(&Event { uid: spec.uid.clone(), message, progress, is_warning: false });
    };
    tell(None);
    let folder = Surroundings::of_this_process().docker_folder();
    let (credentials, lack) = match credentials::of_registry(folder.as_deref(), image.registry).await {
        Ok(found) => (found, None),
        // Many images can be pulled without credentials, so this is no error yet.
        Err(why) => (None, Some(why)),
    };
    let options = CreateImageOptionsBuilder::new().from_image(&image.with_tag());
    let options = options.platform(spec.container.platform.as_deref().unwrap_or_default()).build();
    let mut pulled = std::pin::pin!(engine.client.create_image(Some(options), None, credentials));
    let mut layers = Layers::default();
    while let Some(step) = pulled.next().await {
        let step = step.map_err(|error| {
            let mut error = not_pulled(runtime, image.text, &error);
            if let Some(why) = &lack {
                error.message = format!("{} (there were no credentials: {why})", error.message);
            }
            error
        })?;
        if let Some(progress) = layers.step(&step) {
            tell(Some(progress));
        }
    }
    // A server that is silent for long would look like a pull that does not end.
    let message = format!("the image '{}' is there", image.text);
    runtime.host.event(&Event { uid: spec.uid.clone(), message, progress: None, is_warning: false });
    Ok(())
}

/// The error for an image that a registry does not have, or that the engine fails to fetch. Nothing was made.
fn not_pulled(runtime: &ContainerRuntime, image: &str, error: &bollard::errors::Error) -> Error {
    let mut error = runtime.failed(&format!("the image '{image}' cannot be pulled"), error);
    if error.code == ErrorCode::Internal {
        error.code = ErrorCode::FailedPrecondition;
    }
    error
}

/// The progress of each layer.
#[derive(Default)]
struct Layers {
    bytes: HashMap<String, (u64, u64)>,
    /// The percentage that was reported last; a report for each step would be too many.
    told: Option<u64>,
}

impl Layers {
    /// The sum over all layers, if the percentage has changed.
    fn step(&mut self, step: &CreateImageInfo) -> Option<(u64, u64)> {
        let detail = step.progress_detail.as_ref()?;
        let (current, total) = (u64::try_from(detail.current?).ok()?, u64::try_from(detail.total?).ok()?);
        self.bytes.insert(step.id.clone()?, (current, total));
        let sum = self.bytes.values().fold((0, 0), |sum: (u64, u64), (current, total)| {
            (sum.0.saturating_add(*current), sum.1.saturating_add(*total))
        });
        let percent = sum.0.saturating_mul(100).checked_div(sum.1);
        if percent.is_none() || percent == self.told {
            return None;
        }
        self.told = percent;
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    #[test]
    fn progress_is_the_sum_of_the_layers_and_told_when_it_changes() {
        let mut layers = Layers::default();
        let mut step = |id: &str, current, total| {
            let detail = ProgressDetail { current: Some(current), total: Some(total) };
            layers.step(&CreateImageInfo {
                id: Some(id.to_owned()),
                progress_detail: Some(detail),
                ..CreateImageInfo::default()
            })
        };
        assert_eq!(step("a", 10, 100), Some((10, 100)));
        assert_eq!(step("a", 10, 100), None);
        assert_eq!(step("b", 90, 100), Some((100, 200)));
        assert_eq!(step("b", 0, 0), Some((10, 100)), "a layer that turned out to be there");
    }
}
