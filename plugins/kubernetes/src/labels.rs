//! The labels and annotations of the objects that wharf makes: their owner, and the facts that a later process needs.
use k8s_openapi::{api::apps::v1::StatefulSet, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use wharf_sdk::{Error, ListQuery, Result, WorkloadSpec};

/// Keys that begin with this are reserved for wharf.
const OWN: &str = "wharf.";
/// The id of the host that made it.
pub(crate) const HOST_ID: &str = "wharf.host-id";
/// The workload's uid.
pub(crate) const UID: &str = "wharf.uid";
/// The workload's name.
pub(crate) const NAME: &str = "wharf.name";
/// The group that the workload is listed under.
const GROUP: &str = "wharf.group";
/// All labels of the user, as JSON in an annotation, since labels can hold neither long values nor most characters.
const USER_LABELS: &str = "wharf.labels";
/// The port inside the pod, as an annotation. Absent: the server uses stdin and stdout.
pub(crate) const TARGET_PORT: &str = "wharf.target-port";
/// The measures that were asked for and are not enforced, as JSON in an annotation.
pub(crate) const WEAKER: &str = "wharf.weaker";
/// The time since which it is to run, as an annotation. Absent: none of its code has run.
pub(crate) const STARTED: &str = "wharf.started";
/// Its exit, as JSON in an annotation, since the pod that has it in its status may be gone.
pub(crate) const EXIT: &str = "wharf.exit";
/// The proof that this very object was made in the instance: an annotation, see [`crate::identity`].
pub(crate) const PROOF: &str = "wharf.proof";

/// The label by which trials of networks are told from workloads; its value is the part in the trial.
pub(crate) const TRIAL: &str = "wharf.trial";

/// The digest of the objects that it was made of: an annotation of the StatefulSet, see [`crate::digest`].
pub(crate) const SPEC: &str = "wharf.spec";

/// The longest value of a label.
const MAX_VALUE: usize = 63;
/// The number of hexadecimal digits that stand for a value that cannot be a label's.
const DIGEST_DIGITS: usize = 32;

/// The selector of all objects of a host.
pub(crate) fn of_host(host_id: &str) -> String {
    format!("{HOST_ID}={}", value(host_id))
}

/// The selector of all objects of a workload.
pub(crate) fn of_workload(host_id: &str, uid: &str) -> String {
    format!("{},{UID}={}", of_host(host_id), value(uid))
}

/// The labels that distinguish a workload's pods from all others; they cannot be changed later.
pub(crate) fn selector(spec: &WorkloadSpec) -> BTreeMap<String, String> {
    [(HOST_ID, &spec.host_id), (UID, &spec.uid)].map(|(key, text)| (key.to_owned(), value(text))).into()
}

/// All labels of a workload's objects. Labels of the user that the cluster would refuse are only in the annotation.
pub(crate) fn labels(spec: &WorkloadSpec) -> BTreeMap<String, String> {
    let own = spec.labels.iter().filter(|(key, _)| is_key(key));
    let mut labels: BTreeMap<_, _> = own.map(|(key, text)| (key.clone(), value(text))).collect();
    labels.extend(selector(spec));
    labels.insert(NAME.to_owned(), value(&spec.name));
    if let Some(group) = &spec.group {
        labels.insert(GROUP.to_owned(), value(group));
    }
    labels.insert("app.kubernetes.io/managed-by".to_owned(), "wharf".to_owned());
    labels
}

/// All annotations that are known when the object is made.
pub(crate) fn annotations(spec: &WorkloadSpec, port: Option<u16>, weaker: &str) -> BTreeMap<String, String> {
    let mut annotations: BTreeMap<String, String> = [
        (HOST_ID, spec.host_id.as_str()),
        (UID, &spec.uid),
        (NAME, &spec.name),
        (GROUP, spec.group.as_deref().unwrap_or_default()),
        (WEAKER, weaker),
    ]
    .map(|(key, text)| (key.to_owned(), text.to_owned()))
    .into();
    annotations.retain(|_, text| !text.is_empty());
    if let Some(port) = port {
        annotations.insert(TARGET_PORT.to_owned(), port.to_string());
    }
    if !spec.labels.is_empty() {
        let all = serde_json::to_string(&spec.labels).unwrap_or_default();
        annotations.insert(USER_LABELS.to_owned(), all);
    }
    annotations
}

/// Refuses labels of the user that begin like wharf's own.
pub(crate) fn check(labels: &BTreeMap<String, String>) -> Result<()> {
    match labels.keys().find(|name| name.starts_with(OWN)) {
        Some(name) => Err(Error::invalid(format!("the label '{name}' is wharf's own and cannot be set"))),
        None => Ok(()),
    }
}

/// An annotation of an object.
pub(crate) fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Host id and uid of an object, from its annotations, which have them in full. They count only if the labels fit them.
pub(crate) fn owner(metadata: &ObjectMeta) -> Option<(&str, &str)> {
    let labels = metadata.labels.as_ref()?;
    let (host_id, uid) = (annotation(metadata, HOST_ID)?, annotation(metadata, UID)?);
    let is_so = |key: &str, whole: &str| labels.get(key).is_some_and(|label| *label == value(whole));
    (is_so(HOST_ID, host_id) && is_so(UID, uid)).then_some((host_id, uid))
}

/// Whether the pods of a StatefulSet are those of this workload. Nobody can change that: a cluster refuses another selector.
pub(crate) fn selects(set: &StatefulSet, host_id: &str, uid: &str) -> bool {
    selected(set, host_id).is_some_and(|selected| selected == value(uid))
}

/// The same, or they are nobody's of this host.
pub(crate) fn selects_or_nobody(set: &StatefulSet, host_id: &str, uid: &str) -> bool {
    selected(set, host_id).is_none_or(|selected| selected == value(uid))
}

/// The uid in the selector of a StatefulSet of this host, as a label has it.
pub(crate) fn selected<'a>(set: &'a StatefulSet, host_id: &str) -> Option<&'a str> {
    let selector = set.spec.as_ref()?.selector.match_labels.as_ref()?;
    let uid = selector.get(UID)?;
    (*selector.get(HOST_ID)? == value(host_id)).then_some(uid.as_str())
}

/// Whether the labels alone are of this host, and of a uid that was asked for or of none.
pub(crate) fn may_be_one_of(metadata: &ObjectMeta, host_id: &str, query: &ListQuery) -> bool {
    let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key));
    let is_asked_for =
        |label: &String| query.uids.as_ref().is_none_or(|uids| uids.iter().any(|uid| *label == value(uid)));
    label(HOST_ID).is_some_and(|label| *label == value(host_id)) && label(UID).is_none_or(is_asked_for)
}

/// A text as the value of a label: unchanged, or a digest if a label cannot hold it.
fn value(text: &str) -> String {
    let is_edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let is_fine = text.len() <= MAX_VALUE
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && is_edge(text.chars().next())
        && is_edge(text.chars().last());
    if is_fine { text.to_owned() } else { digest(text) }
}

/// True if the cluster accepts this as the key of a label: a name, perhaps with a domain and a slash before it.
fn is_key(key: &str) -> bool {
    const MAX_DOMAIN: usize = 253;
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    let is_domain = |domain: &str| {
        !domain.is_empty() && domain.len() <= MAX_DOMAIN && domain.split('.').all(crate::names::is_name)
    };
    !name.is_empty() && value(name) == name && domain.is_none_or(is_domain)
}

/// The first digits of a SHA-256.
pub(crate) fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..DIGEST_DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::spec;

    #[test]
    fn values_that_labels_cannot_hold_are_hashed_and_whole_in_annotations() {
        let long = "x".repeat(64);
        let own = serde_json::json!({ "team": "a b", "long": long, "bad key": "v", "x.example/y": "z" });
        let spec = spec(serde_json::json!({ "labels": own }));
        let labels = labels(&spec);
        assert_eq!(labels["team"].len(), DIGEST_DIGITS);
        assert_eq!(labels["long"].len(), DIGEST_DIGITS);
        assert_eq!(labels["x.example/y"], "z");
        assert!(!labels.contains_key("bad key"));
        let all: serde_json::Value =
            serde_json::from_str(&annotations(&spec, None, "")[USER_LABELS]).unwrap();
        assert_eq!((all["team"].as_str(), all["bad key"].as_str()), (Some("a b"), Some("v")));
    }

    #[test]
    fn an_owner_counts_where_labels_and_annotations_agree() {
        let spec = spec(serde_json::json!({}));
        let (labels, annotations) = (Some(labels(&spec)), Some(annotations(&spec, None, "")));
        let mut metadata = ObjectMeta { labels, annotations, ..ObjectMeta::default() };
        assert_eq!(owner(&metadata), Some((spec.host_id.as_str(), spec.uid.as_str())));
        metadata.labels.as_mut().unwrap().insert(UID.to_owned(), "another".to_owned());
        assert_eq!(owner(&metadata), None);
    }

    #[test]
    fn wharfs_own_labels_cannot_be_set() {
        let own = BTreeMap::from([(HOST_ID.to_owned(), "h".to_owned())]);
        assert!(check(&own).is_err());
        assert!(check(&BTreeMap::from([(TRIAL.to_owned(), String::new())])).is_err());
        assert!(check(&BTreeMap::from([("wharfs".to_owned(), String::new())])).is_ok());
    }
}
