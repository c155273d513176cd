//! Containers that another product made: found by that product's labels, and used by their ids.
//!
//! An existing container cannot be labelled, so only the handle says which workload it belongs to. The handle holds the id
//! and the labels of the search. A container counts as the one that was taken over as long as it has both, and no label of
//! a host of wharf. The host chooses the labels and knows their meaning.
use crate::{
    handle::{HandleData, Taken},
    labels,
    observe::{self, Summary},
    runtime::ContainerRuntime,
};
use std::collections::BTreeMap;
use wharf_sdk::{Listing, Observation, Result, Sought, Stranger, Strangers, TakenOver, Takeover};

impl Takeover for ContainerRuntime {
    async fn strangers(&self, sought: &Sought) -> Result<Strangers> {
        let filters = sought.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (seen, instance) = self.listed("label", filters).await?;
        let foreign: Vec<_> = seen.into_iter().filter(|seen| !is_labelled(seen)).collect();
        let count = foreign.len();
        let found: Vec<_> = foreign.into_iter().filter_map(|seen| stranger(seen, &sought.labels)).collect();
        Ok(Strangers { complete: found.len() == count, instance, found })
    }

    async fn taken(&self, taken: &TakenOver) -> Result<Listing> {
        let handles: Vec<_> = taken
            .handles
            .iter()
            .map(|handle| Ok((handle, HandleData::read(handle)?)))
            .collect::<Result<_>>()?;
        let ids = handles.iter().map(|(_, data)| data.container.clone()).collect();
        let (mut seen, instance) = self.listed("id", ids).await?;
        let mut workloads: Vec<Observation> = Vec::new();
        for (handle, data) in &handles {
            let is_it =
                |seen: &Summary| seen.id.as_ref() == Some(&data.container) && data.fits(seen.labels());
            let Some(index) = seen.iter().position(is_it) else { continue };
            let mut observation = observe::of_taken(seen.swap_remove(index), data);
            (observation.uid, observation.host_id) = (handle.uid.clone(), self.host_id.clone());
            observation.handle = Some((*handle).clone());
            workloads.push(observation);
        }
        Ok(Listing { complete: true, instance, workloads })
    }
}

impl ContainerRuntime {
    /// All containers that match one filter, and the engine's instance, both asked on one connection.
    async fn listed(&self, key: &str, values: Vec<String>) -> Result<(Vec<Summary>, String)> {
        let engine = self.engine().await?;
        let listed = engine.list_by(key, &values).await;
        let (instance, seen) =
            listed.map_err(|error| self.failed("the containers cannot be listed", &error))?;
        Ok((seen, instance))
    }
}

fn is_labelled(seen: &Summary) -> bool {
    seen.labels().is_some_and(|labels| labels.contains_key(labels::HOST_ID))
}

fn stranger(seen: Summary, sought: &BTreeMap<String, String>) -> Option<Stranger> {
    let labels: BTreeMap<_, _> = seen.labels()?.clone().into_iter().collect();
    let image = seen.image.clone().unwrap_or_default();
    let data = HandleData {
        container: seen.id.clone()?,
        target_port: None,
        taken: Some(Taken { labels: sought.clone() }),
    };
    let handle = data.to_handle("");
    let observation = observe::of_taken(seen, &data);
    Some(Stranger {
        handle,
        object: data.container,
        labels,
        image,
        state: observation.state,
        address: observation.address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_sdk::WorkloadState;

    fn summary(labels: &serde_json::Value, ports: &serde_json::Value) -> Summary {
        let seen = serde_json::json!({
            "Id": "0af3".repeat(16), "Image": "example/time:1", "State": "running", "Labels": labels, "Ports": ports,
        });
        serde_json::from_value(seen).unwrap()
    }

    fn sought() -> BTreeMap<String, String> {
        BTreeMap::from([("maker".to_owned(), "other".to_owned())])
    }

    #[test]
    fn r09_what_a_host_of_wharf_has_labelled_is_no_stranger() {
        let ports = serde_json::json!([]);
        assert!(is_labelled(&summary(
            &serde_json::json!({ "maker": "other", "wharf.host-id": "h" }),
            &ports
        )));
        assert!(!is_labelled(&summary(&serde_json::json!({ "maker": "other" }), &ports)));
    }

    #[test]
    fn a_stranger_is_described_with_the_handle_that_it_is_taken_over_with() {
        let labels = serde_json::json!({ "maker": "other", "name": "time" });
        let ports = serde_json::json!([
            { "PrivatePort": 80, "PublicPort": 32768, "Type": "tcp", "IP": "0.0.0.0" },
            { "PrivatePort": 80, "PublicPort": 32768, "Type": "tcp", "IP": "::" },
            { "PrivatePort": 81, "Type": "tcp" },
        ]);
        let stranger = stranger(summary(&labels, &ports), &sought()).unwrap();
        assert_eq!((stranger.object.len(), stranger.image.as_str()), (64, "example/time:1"));
        assert_eq!(stranger.labels["name"], "time");
        assert_eq!(
            (stranger.state, stranger.address),
            (WorkloadState::Running, Some(wharf_sdk::Address::loopback(32768)))
        );
        assert_eq!(HandleData::read(&stranger.handle).unwrap().taken.unwrap().labels, sought());
    }

    #[test]
    fn of_several_published_ports_none_is_guessed() {
        let ports = serde_json::json!([
            { "PrivatePort": 80, "PublicPort": 32768, "Type": "tcp" },
            { "PrivatePort": 81, "PublicPort": 32769, "Type": "tcp" },
        ]);
        let stranger =
            stranger(summary(&serde_json::json!({ "maker": "other" }), &ports), &sought()).unwrap();
        assert_eq!(stranger.address, None);
    }
}
