//! A digest of the objects that a workload is made of, for an annotation of its StatefulSet.
//!
//! Situation: a deployment finds the StatefulSet of an earlier one, and the specification has been changed between: the network is
//! open now, or there is no environment any more. What is applied again is changed, but a NetworkPolicy or a Secret that the
//! new specification has none of would stay, and act. Conclusion: by the digest a deployment sees that these are not its
//! objects, and makes all of them anew.
//!
//! Values of variables are not part of it: the Secret is applied in any case, and whoever may read a StatefulSet could try them
//! out on a digest.
use crate::{
    labels,
    manifest::{Manifest, owner},
    settings::Settings,
};

/// The digest of the objects with this name. What the namespace demands is not part of it, since it cannot always be asked.
pub(crate) fn of(manifest: &Manifest, name: &str, settings: &Settings) -> String {
    let owner = owner(name, "");
    let all = serde_json::json!([
        manifest.statefulset(name, settings, false),
        manifest.service(name, &owner),
        manifest.network_policy(name, &owner),
    ]);
    labels::digest(&all.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::spec;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn digest(fields: Value) -> String {
        let manifest = Manifest::of(&spec(fields), &Settings::default()).unwrap();
        of(&manifest, "time-0af3", &Settings::default())
    }

    #[test]
    fn every_change_of_an_object_changes_the_digest_and_a_value_of_a_variable_does_not() {
        let policy = |profile: Value| json!({ "permission_profile": profile, "allow_weaker": true });
        let open = json!({ "network": { "outbound": { "insecure_allow_all": true } } });
        let all = [
            digest(json!({})),
            digest(json!({ "env": { "A": "1" } })),
            digest(json!({ "env": { "A": "1", "B": "1" } })),
            digest(json!({ "args": ["A"] })),
            digest(json!({ "labels": { "a": "1", "b": "2" } })),
            digest(json!({ "transport": { "kind": "http", "target_port": 8080 } })),
            digest(json!({ "transport": { "kind": "http", "target_port": 8081 } })),
            digest(policy(json!({}))),
            digest(policy(open)),
            digest(policy(json!({ "network": { "outbound": { "allow_port": [443] } } }))),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
        assert_eq!(digest(json!({ "env": { "A": "1" } })), digest(json!({ "env": { "A": "2" } })));
        assert_eq!(digest(json!({ "labels": { "b": "2", "a": "1" } })), all[4]);
    }
}
