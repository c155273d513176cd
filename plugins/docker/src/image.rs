//! Fetches an image that the engine does not have, and tells how far it is.
use crate::{container, engine::Engine, error::is_missing, runtime::ContainerRuntime};
use bollard::{models::CreateImageInfo, query_parameters::CreateImageOptionsBuilder};
use futures_util::StreamExt;
use std::collections::HashMap;
use wharf_sdk::{Error, ErrorCode, Result, WorkloadSpec, document::Event};

/// The tag of a reference that names none.
const DEFAULT_TAG: &str = "latest";

/// Makes sure that the engine has the image of a workload.
pub(crate) async fn fetch_missing(
    runtime: &ContainerRuntime,
    engine: &Engine,
    spec: &WorkloadSpec,
) -> Result<()> {
    let image = container::image(spec)?;
    match engine.client.inspect_image(image).await {
        Ok(_) => return Ok(()),
        Err(error) if is_missing(&error) => {}
        Err(error) => {
            return Err(runtime.failed(&format!("the image '{image}' cannot be looked for"), &error));
        }
    }
    let tell = |message: String, progress| {
        runtime.host.event(&Event { uid: spec.uid.clone(), message, progress });
    };
    tell(format!("pulling image '{image}'"), None);
    let options = CreateImageOptionsBuilder::new().from_image(&with_tag(image)).build();
    let mut pulled = std::pin::pin!(engine.client.create_image(Some(options), None, None));
    let mut layers = Layers::default();
    while let Some(step) = pulled.next().await {
        let step = step.map_err(|error| not_pulled(runtime, image, &error))?;
        if let Some(progress) = layers.step(&step) {
            tell(format!("pulling image '{image}'"), Some(progress));
        }
    }
    // An engine may end the answer without a word about what failed.
    match engine.client.inspect_image(image).await {
        Ok(_) => Ok(()),
        Err(error) => Err(not_pulled(runtime, image, &error)),
    }
}

/// An image that a registry does not have, or that the engine fails to fetch: nothing was made of it.
fn not_pulled(runtime: &ContainerRuntime, image: &str, error: &bollard::errors::Error) -> Error {
    let mut error = runtime.failed(&format!("the image '{image}' cannot be pulled"), error);
    if error.code == ErrorCode::Internal {
        error.code = ErrorCode::FailedPrecondition;
    }
    error
}

/// A reference without a tag would pull all tags.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:{DEFAULT_TAG}") }
}

/// How much of each layer is there.
#[derive(Default)]
struct Layers {
    bytes: HashMap<String, (u64, u64)>,
    /// What was told last, in percent: each step would be too many.
    told: Option<u64>,
}

impl Layers {
    /// The sum over all layers, if it is news.
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
    fn a_reference_without_a_tag_means_the_latest() {
        for (image, pulled) in [
            ("time", "time:latest"),
            ("localhost:5000/time", "localhost:5000/time:latest"),
            ("localhost:5000/time:1", "localhost:5000/time:1"),
            ("time@sha256:00", "time@sha256:00"),
        ] {
            assert_eq!(with_tag(image), pulled);
        }
    }

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
