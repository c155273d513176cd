//! A digest of everything that a container was made of, for a label: a later deployment of the same specification finds the
//! container by it. The digest is salted with the uid, which is random, since an environment may hold secrets, and
//! everybody can read labels.
use crate::{container, flavor::Flavor, labels, limits};
use bollard::models::ContainerCreateBody;
use serde_json::Value;
use sha2::{Digest, Sha256};
use wharf_sdk::WorkloadSpec;

/// The digest of the request, as earlier versions made it where nothing new is asked for; `image_id` is included if the container must be made of that very image.
pub(crate) fn of(flavor: Flavor, body: &ContainerCreateBody, image_id: &str, spec: &WorkloadSpec) -> String {
    let mut body = body.clone();
    if let Some(host) = &mut body.host_config {
        limits::as_earlier(host, flavor, &spec.container);
    }
    let mut body = serde_json::to_value(body).unwrap_or_default();
    // The platform is no part of the request's body.
    if let (Some(platform), Some(body)) = (&spec.container.platform, body.as_object_mut()) {
        body.insert("Platform".to_owned(), platform.as_str().into());
    }
    // Two labels are excluded: the digest itself; and what is left out of the specification where that is nothing, as earlier
    // versions did. What an engine cannot do besides is no part of the label yet.
    if let Some(labels) = body.get_mut("Labels").and_then(Value::as_object_mut) {
        labels.remove(labels::SPEC);
        if labels.get(labels::WEAKER).and_then(Value::as_str) == Some(container::weaker(&[]).as_str()) {
            labels.remove(labels::WEAKER);
        }
    }
    let mut digest = Sha256::new();
    for salt in [&spec.uid, &spec.host_id, image_id] {
        digest.update(salt.as_bytes());
        digest.update([0]);
    }
    feed(&mut digest, &body);
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Feeds a value. Objects are fed in the order of their keys, since a map has another order each time.
fn feed(digest: &mut Sha256, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            digest.update(b"{");
            for (name, value) in fields {
                digest.update(Value::from(name.as_str()).to_string());
                feed(digest, value);
            }
            digest.update(b"}");
        }
        Value::Array(items) => {
            digest.update(b"[");
            items.iter().for_each(|item| feed(digest, item));
            digest.update(b"]");
        }
        other => digest.update(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest(more: Value, image: &str) -> String {
        let spec = container::tests::spec(more);
        of(Flavor::Docker, &container::body(Flavor::Docker, &spec, &[]).unwrap(), image, &spec)
    }

    #[test]
    fn a_digest_does_not_depend_on_the_order_of_map_entries() {
        let labels = || json!({ "labels": { "a": "1", "b": "2", "c": "3", "d": "4" } });
        for _ in 0..20 {
            assert_eq!(digest(labels(), "i"), digest(labels(), "i"));
        }
    }

    #[test]
    fn every_change_of_a_specification_changes_its_digest() {
        let of = |more| digest(more, "i");
        let all = [
            of(json!({})),
            digest(json!({}), "j"),
            of(json!({ "env": { "A": "1" } })),
            of(json!({ "env": { "A": "2" } })),
            of(json!({ "args": ["A"] })),
            of(json!({ "user": "1" })),
            of(json!({ "container": { "ulimits": { "nofile": { "soft": 1, "hard": 1 } } } })),
            of(json!({ "container": { "platform": "linux/arm64" } })),
            of(json!({ "uid": "1123456789abcdef0123456789abcdef" })),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
