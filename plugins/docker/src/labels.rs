//! The labels of the containers that wharf makes.
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use wharf_sdk::{Error, Result, WorkloadSpec};

/// Labels that begin with this are reserved for wharf.
const OWN: &str = "wharf.";
/// The id of the host that made the container.
pub(crate) const HOST_ID: &str = "wharf.host-id";
/// The workload's uid.
pub(crate) const UID: &str = "wharf.uid";
/// The uid of the workload that it belongs to; empty: it is none.
pub(crate) const PARENT: &str = "wharf.parent";
/// The workload's name, for people.
const NAME: &str = "wharf.name";
/// The port inside the container. Empty: the server uses stdin and stdout.
pub(crate) const TARGET_PORT: &str = "wharf.target-port";

/// A digest of the instance that made the container, the host and the uid. It is a digest, since the instance names the
/// machine, and an image made of the container would carry the label elsewhere.
pub(crate) const INSTANCE: &str = "wharf.instance";
/// The group that the workload is listed under, for people.
const GROUP: &str = "wharf.group";
/// A digest of everything that the container was made of: while the specification is unchanged, the container is kept.
pub(crate) const SPEC: &str = "wharf.spec";
/// The measures that were asked for and are not enforced, as JSON.
pub(crate) const WEAKER: &str = "wharf.weaker";

/// All labels of a workload, without those that depend on the container.
pub(crate) fn of(spec: &WorkloadSpec, target_port: Option<u16>) -> HashMap<String, String> {
    let mut labels: HashMap<_, _> = spec.labels.clone().into_iter().collect();
    labels.insert(HOST_ID.to_owned(), spec.host_id.clone());
    labels.insert(UID.to_owned(), spec.uid.clone());
    labels.insert(NAME.to_owned(), spec.name.clone());
    // It is set even if empty: otherwise the image's own label of this name would show.
    let port = target_port.map(|port| port.to_string());
    labels.insert(TARGET_PORT.to_owned(), port.unwrap_or_default());
    labels.insert(GROUP.to_owned(), spec.group.clone().unwrap_or_default());
    labels
}

/// The value of the label [`INSTANCE`] for a container that this instance makes.
pub(crate) fn of_instance(instance: &str, host_id: &str, uid: &str) -> String {
    let mut digest = Sha256::new();
    for part in [host_id, uid, instance] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses labels of the user that begin like wharf's own.
pub(crate) fn check(labels: &BTreeMap<String, String>) -> Result<()> {
    match labels.keys().find(|name| name.starts_with(OWN)) {
        Some(name) => Err(Error::invalid(format!("the label '{name}' is wharf's own and cannot be set"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_an_instance_fits_one_workload_and_tells_nothing() {
        let label = of_instance("machine/host/0 /var/lib", "h", "u");
        let others = [
            of_instance("machine/host/0 /var/other", "h", "u"),
            of_instance("machine/host/0 /var/lib", "other", "u"),
            of_instance("machine/host/0 /var/lib", "h", "other"),
            of_instance("/var/lib", "h", "u"),
        ];
        assert!(others.iter().all(|other| *other != label));
        assert!(label.len() == 64 && !label.contains("machine"));
    }
}
