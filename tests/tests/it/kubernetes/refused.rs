//! Pods that do not run: the error has the cluster's own words, and nothing stays of the pods.
use super::{field, host, objects, run};
use crate::containers::add;
use serde_json::{Value, json};
use wharf_tests::cluster::{Cluster, Namespace};
use wharf_tests::host::{Host, eventually};

/// Starts a workload, which must fail with this in its error.
pub(super) fn is_told(host: &Host, namespace: &Namespace<'_>, args: &[&str], words: &[&str]) {
    let said = host.wharf(&[&["run", "--runtime", "kubernetes", "--name", "refused"], args].concat());
    assert_ne!(said.code, 0, "{args:?}: {said:?}");
    let missing = words.iter().find(|word| !said.stderr.contains(**word));
    assert!(missing.is_none(), "{args:?} does not say {missing:?}: {said:?}");
    assert!(host.list().is_empty(), "{args:?}");
    let left = objects(namespace);
    assert!(left.is_empty(), "{args:?} leaves {left:?}");
}

#[test]
fn an_image_that_cannot_be_had_and_a_pod_that_fits_nowhere_are_told_in_the_clusters_words() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("broken");
    let host = host(&cluster, &namespace);
    let missing = "localhost/no-such-image:1";
    is_told(&host, &namespace, &["--pull", "never", missing], &["ErrImageNeverPull", missing]);
    is_told(&host, &namespace, &[missing], &["ImagePull", missing]);
    let huge = ["--memory", "900g", cluster.demo_image()];
    is_told(&host, &namespace, &huge, &["Unschedulable", "Insufficient memory"]);
    let ends = [cluster.demo_image(), "--", "--no-such-option"];
    is_told(&host, &namespace, &ends, &["--no-such-option"]);
}

#[test]
fn a_quota_and_the_namespaces_pod_security_are_told_in_the_clusters_words() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("held-back");
    let host = host(&cluster, &namespace);
    let image = cluster.demo_image();
    let level = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(&["label", "namespace", namespace.name(), level]);
    is_told(&host, &namespace, &[image], &["root", "--user UID"]);
    is_told(&host, &namespace, &["--user", "0", image], &["runAsNonRoot", "--user UID"]);
    host.run(&["--runtime", "kubernetes", "--name", "of-a-user", "--user", "1000:1000", image]);
    host.ok(&["rm", "of-a-user"]);
    namespace.kubectl(&["create", "quota", "none", "--hard=pods=0"]);
    is_told(&host, &namespace, &["--user", "1000", image], &["exceeded quota: none"]);
}

#[test]
fn what_a_pod_cannot_be_held_to_is_refused_before_anything_is_made() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("unsupported");
    let host = host(&cluster, &namespace);
    let image = cluster.demo_image();
    for (args, word) in [
        (&["--permission-profile", "none"][..], "network_policies"),
        (&["--volume", "/srv:/data"][..], "host_paths"),
        (&["--user", "app"][..], "number"),
        (&["--pids-limit", "10"][..], "pids"),
    ] {
        is_told(&host, &namespace, &[args, &[image]].concat(), &[word]);
    }
}

#[test]
fn a_secret_that_the_node_receives_late_is_waited_for() {
    let Some(cluster) = Cluster::alone() else { return };
    let namespace = cluster.namespace("late");
    let host = host(&cluster, &namespace);
    host.configure(&json!({ "runtimes": { "kubernetes": { "scheduling_seconds": 60 } } }));
    let secret = || namespace.kubectl(&["get", "secrets", "--ignore-not-found", "--output", "json"]);
    let of_container = |path: &str| field(&namespace, "pods", &format!(".status.containerStatuses[0]{path}"));
    // No node takes the pod before its Secret is gone.
    cluster.kubectl(&["cordon", "node"]);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| run(&host, &cluster, "late", &["-e", "TOKEN=a-token"]));
        eventually("it waits for a node", || field(&namespace, "pods", ".status.phase") == "Pending");
        let mut secrets: Value = serde_json::from_str(&secret()).unwrap();
        namespace.kubectl(&["delete", "secrets", "--all"]);
        cluster.kubectl(&["uncordon", "node"]);
        eventually("the node misses it", || {
            of_container(".state.waiting.reason") == "CreateContainerConfigError"
        });
        for name in ["resourceVersion", "uid", "creationTimestamp", "managedFields"] {
            secrets["items"][0]["metadata"].as_object_mut().unwrap().remove(name);
        }
        namespace.apply(&secrets["items"][0].to_string());
        assert_eq!(add(&run.join().unwrap()), "5");
    });
    host.ok(&["rm", "late"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}

#[test]
fn a_webhook_that_does_not_answer_for_a_while_is_waited_for() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("webhook");
    let host = host(&cluster, &namespace);
    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace.name() } });
    let rule =
        json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] });
    let webhook = json!({ "name": "silent.example.com", "clientConfig": { "url": "https://127.0.0.1:1/" },
        "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "namespaceSelector": selector, "rules": [rule] });
    let name = format!("silent-{}", namespace.name());
    let all = json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": name }, "webhooks": [webhook] });
    namespace.apply(&all.to_string());
    eventually("the API server asks it", || {
        let image = format!("--image={}", cluster.demo_image());
        let asked = namespace.command(&["run", "asked", &image, "--dry-run=server"]).output().unwrap();
        String::from_utf8_lossy(&asked.stderr).contains("failed calling webhook")
    });
    std::thread::scope(|scope| {
        let run = scope.spawn(|| run(&host, &cluster, "in-pod", &[]));
        let failed = ["get", "events", "--field-selector=reason=FailedCreate", "--output", "name"];
        eventually("the cluster cannot make the pod", || !namespace.kubectl(&failed).is_empty());
        cluster.kubectl(&["delete", "validatingwebhookconfiguration", &name]);
        assert_eq!(add(&run.join().unwrap()), "5");
    });
    host.ok(&["rm", "in-pod"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}
