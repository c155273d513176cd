//! Finds containers that other products made, by labels of theirs. The host chooses the labels and knows their meaning.
use crate::{labels, observe::Summary, runtime::ContainerRuntime};
use wharf_sdk::{Discover, ForeignListing, ForeignResource, LabelSelector, Result};

impl Discover for ContainerRuntime {
    async fn discover(&self, selector: &LabelSelector) -> Result<ForeignListing> {
        let filters: Vec<_> = selector.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let engine = self.engine().await?;
        // Containers and instance are asked on one connection, so that one engine tells both.
        let listed = engine.list_whosever(&filters).await;
        let (instance, seen) =
            listed.map_err(|error| self.failed("the containers cannot be listed", &error))?;
        let foreign: Vec<_> = seen.into_iter().filter(is_foreign).collect();
        let count = foreign.len();
        let resources: Vec<_> = foreign.into_iter().filter_map(foreign_resource).collect();
        Ok(ForeignListing { complete: resources.len() == count, instance, resources })
    }
}

/// Whether no host of wharf has labelled the container.
fn is_foreign(seen: &Summary) -> bool {
    seen.label(labels::HOST_ID).is_none()
}

/// A container of a listing as a foreign resource; none if the engine leaves out its id or its labels.
fn foreign_resource(mut seen: Summary) -> Option<ForeignResource> {
    let (object, state) = (seen.id.take()?, seen.doing());
    let labels = seen.into_labels()?.into_iter().collect();
    Some(ForeignResource { object, labels, state })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_sdk::WorkloadState;

    fn summary(labels: &serde_json::Value) -> Summary {
        let seen = serde_json::json!({ "Id": "0af3".repeat(16), "State": "running", "Labels": labels });
        serde_json::from_value(seen).unwrap()
    }

    #[test]
    fn r09_what_a_host_of_wharf_has_labelled_is_not_foreign() {
        assert!(!is_foreign(&summary(&serde_json::json!({ "maker": "other", "wharf.host-id": "h" }))));
        assert!(is_foreign(&summary(&serde_json::json!({ "maker": "other" }))));
    }

    #[test]
    fn a_foreign_container_is_shown_with_its_labels() {
        let seen = summary(&serde_json::json!({ "maker": "other", "name": "time" }));
        let shown = foreign_resource(seen).unwrap();
        assert_eq!((shown.object.len(), shown.state), (64, WorkloadState::Running));
        assert_eq!(shown.labels["name"], "time");
    }

    #[test]
    fn a_container_of_which_too_little_is_told_makes_the_listing_incomplete() {
        assert_eq!(foreign_resource(summary(&serde_json::Value::Null)), None);
    }
}
