//! The rights that `rbac.yaml` of the plugin grants suffice, and missing ones are named.
use super::{KUBECONFIG, host_of_admin, objects, run, write};
use crate::containers::add;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use wharf_tests::cluster::{Cluster, Namespace};
use wharf_tests::host::{Host, eventually};

/// A host that may do in the namespace what `rbac.yaml` says, and nothing else.
pub(super) fn of_account(cluster: &Cluster, namespace: &Namespace<'_>) -> Host {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/kubernetes/rbac.yaml");
    let manifests = std::fs::read_to_string(manifests).unwrap();
    // Several hosts of a test are the same user.
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "wharf" } });
    namespace.apply(&account.to_string());
    {
        // The part that belongs to no namespace is the same for all tests.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        namespace.apply(&manifests.replace("NAMESPACE", namespace.name()));
    }
    let host = host_of_admin(cluster, namespace);
    let config = std::fs::read(namespace.kubeconfig_of("wharf")).unwrap();
    write(&host.path(KUBECONFIG), &serde_json::from_slice(&config).unwrap());
    eventually("the rights are there", || check(&host)["state"] == "healthy");
    host
}

fn check(host: &Host) -> Value {
    let said = host.wharf(&["runtime", "check", "kubernetes", "--format", "json"]);
    let checked: Value = serde_json::from_str(&said.stdout).unwrap();
    checked[0].clone()
}

#[test]
fn the_rights_of_the_manifests_suffice() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("least");
    let host = of_account(&cluster, &namespace);
    host.configure(&json!({ "runtimes": { "kubernetes": { "network_policies": true } } }));
    let asked = ["-e", "LEVEL=debug", "--permission-profile", "none", "--memory", "128m"];
    let url = run(&host, &cluster, "in-pod", &asked);
    assert_eq!(add(&url), "5");
    let made = objects(&namespace);
    for kind in ["statefulset", "secret", "networkpolicy"] {
        assert!(made.iter().any(|name| name.starts_with(kind)), "{kind}: {made:?}");
    }
    assert!(host.ok(&["logs", "in-pod"]).contains("serving MCP"));
    let stamped = host.ok(&["logs", "--timestamps", "in-pod"]);
    let time = stamped.lines().find(|line| line.contains("serving MCP")).unwrap().split(' ').next().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{stamped}");
    host.ok(&["stop", "in-pod"]);
    host.ok(&["start", "in-pod"]);
    assert_eq!(add(&url), "5");
    host.ok(&["rm", "in-pod"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}

/// Nothing works without these rights. Other missing ones are reported when they are needed, since the cluster's refusal
/// names them.
const NEEDED: [&str; 8] = [
    "statefulsets",
    "pods",
    "pods/log",
    "pods/attach",
    "pods/portforward",
    "secrets",
    "services",
    "networkpolicies",
];

/// Each needed right: the number of its rule in the role, its verb, and what it is called.
fn rights(role: &Value) -> Vec<(usize, String, Vec<String>)> {
    let rules = role["rules"].as_array().unwrap().iter().enumerate();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let of_rule = |(number, rule): (usize, &Value)| {
        let mut resources = texts(&rule["resources"]);
        resources.retain(|resource| NEEDED.contains(&resource.as_str()));
        let named = move |verb: String| {
            let names: Vec<String> = resources.iter().map(|resource| format!("{verb} {resource}")).collect();
            (number, verb, names)
        };
        texts(&rule["verbs"]).into_iter().map(named).collect::<Vec<_>>()
    };
    let all = rules.flat_map(of_rule);
    all.filter(|(_, _, names)| !names.is_empty()).collect()
}

#[test]
fn each_missing_right_is_named() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("missing");
    let host = of_account(&cluster, &namespace);
    let role: Value =
        serde_json::from_str(&namespace.kubectl(&["get", "role", "wharf", "--output", "json"])).unwrap();
    let rules = role["rules"].clone();
    let patch = |rules: &Value| {
        let patch = json!({ "rules": rules }).to_string();
        namespace.kubectl(&["patch", "role", "wharf", "--type=merge", "--patch", &patch]);
    };
    let rights = rights(&role);
    assert!(rights.len() > 10, "{rights:?}");
    for (number, verb, names) in rights {
        let mut without = rules.clone();
        without[number]["verbs"].as_array_mut().unwrap().retain(|known| *known != json!(verb));
        if without[number]["verbs"] == json!([]) {
            // A rule of no verbs is none.
            without.as_array_mut().unwrap().remove(number);
        }
        patch(&without);
        eventually(&format!("it is told that {names:?} are missing"), || {
            let checked = check(&host);
            let message = checked["message"].as_str().unwrap_or_default();
            checked["state"] == "unhealthy" && names.iter().all(|right| message.contains(right))
        });
    }
    patch(&rules);
    let binding = format!("wharf-instance-{}", namespace.name());
    cluster.kubectl(&["delete", "clusterrolebinding", &binding]);
    eventually("it is told that the cluster cannot be told from others", || {
        let checked = check(&host);
        checked["state"] == "unhealthy" && checked["message"].as_str().unwrap().contains("kube-system")
    });
}
