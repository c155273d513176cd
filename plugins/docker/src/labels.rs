//! The labels of what wharf makes: whose it is.
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use wharf_sdk::{Error, Result, WorkloadSpec};

/// Beginnings of these are wharf's own.
const OWN: &str = "wharf.";
/// The host that made it.
pub(crate) const HOST_ID: &str = "wharf.host-id";
/// The workload's uid.
pub(crate) const UID: &str = "wharf.uid";
/// The workload's name, for people.
const NAME: &str = "wharf.name";
/// The port inside the container; empty: it speaks over stdin and stdout.
pub(crate) const TARGET_PORT: &str = "wharf.target-port";

/// The instance that made the container, as a digest of it, the host and the uid: the instance itself tells of the machine,
/// and an image that is made of the container takes its labels along, wherever it goes.
pub(crate) const INSTANCE: &str = "wharf.instance";
/// The group that the workload is listed under, for people.
const GROUP: &str = "wharf.group";
/// A digest of what the container was made of: an unchanged specification keeps its container.
pub(crate) const SPEC: &str = "wharf.spec";
/// What was asked for and is not enforced, as JSON.
pub(crate) const WEAKER: &str = "wharf.weaker";

/// All labels of a workload but those of the container itself.
pub(crate) fn of(spec: &WorkloadSpec, target_port: Option<u16>) -> HashMap<String, String> {
    let mut labels: HashMap<_, _> = spec.labels.clone().into_iter().collect();
    labels.insert(HOST_ID.to_owned(), spec.host_id.clone());
    labels.insert(UID.to_owned(), spec.uid.clone());
    labels.insert(NAME.to_owned(), spec.name.clone());
    // Empty rather than absent: the image's own would stay.
    let port = target_port.map(|port| port.to_string());
    labels.insert(TARGET_PORT.to_owned(), port.unwrap_or_default());
    labels.insert(GROUP.to_owned(), spec.group.clone().unwrap_or_default());
    labels
}

/// The label [`INSTANCE`] of a workload's container that this instance made.
pub(crate) fn of_instance(instance: &str, host_id: &str, uid: &str) -> String {
    let mut digest = Sha256::new();
    for part in [host_id, uid, instance] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Users cannot set wharf's own.
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
