//! Edits: what the description names no more is gone from the cluster, too.
use super::{field, host, objects, run};
use crate::containers::add;
use serde_json::{Value, json};
use wharf_tests::cluster::{Cluster, Namespace};

/// The number of variables in the Secrets.
fn variables(namespace: &Namespace<'_>) -> Vec<usize> {
    let secrets = namespace.kubectl(&["get", "secrets", "--output", "json"]);
    let secrets: Value = serde_json::from_str(&secrets).unwrap();
    let all = secrets["items"].as_array().unwrap().iter();
    all.map(|secret| secret["data"].as_object().map_or(0, serde_json::Map::len)).collect()
}

#[test]
fn an_edit_leaves_nothing_of_the_former_description() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("edited");
    let host = host(&cluster, &namespace);
    host.configure(&json!({ "runtimes": { "kubernetes": { "network_policies": true } } }));
    let options = ["-e", "TOKEN=a-token", "-e", "LEVEL=debug", "--permission-profile", "none"];
    let url = run(&host, &cluster, "in-pod", &options);
    let uid = || field(&namespace, "statefulsets", ".metadata.uid");
    let (first, given) = (uid(), variables(&namespace));
    let fewer = |number: usize| given.iter().map(|all| all - number).collect::<Vec<_>>();
    host.ok(&["stop", "in-pod"]);
    host.ok(&["start", "in-pod"]);
    assert_eq!((uid(), variables(&namespace)), (first.clone(), given.clone()), "unchanged, it is kept");
    host.ok(&["edit", "in-pod", "-e", "LEVEL=trace"]);
    assert_eq!((uid(), add(&url).as_str()), (first.clone(), "5"), "a value alone is exchanged in the Secret");
    host.ok(&["edit", "in-pod", "--unset", "TOKEN"]);
    assert_eq!((variables(&namespace), add(&url).as_str()), (fewer(1), "5"));
    host.ok(&["edit", "in-pod", "--unset", "LEVEL", "--permission-profile", "network"]);
    assert_ne!(uid(), first);
    let made = objects(&namespace);
    assert!(!made.iter().any(|name| name.starts_with("networkpolicy")), "{made:?}");
    assert_eq!((variables(&namespace), add(&url).as_str()), (fewer(2), "5"));
    host.ok(&["rm", "in-pod"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}
