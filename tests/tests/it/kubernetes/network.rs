//! Whether NetworkPolicies are enforced: tried out by two pods, kept by instance, and asked for by each workload whose network
//! is to be closed. The cluster of the tests does not enforce them.
use super::rights::of_account;
use super::{field, objects};
use serde_json::{Value, json};
use std::fs;
use wharf_tests::cluster::{Cluster, Namespace};
use wharf_tests::host::Host;

const VERDICTS: &str = "state/network-verdicts.json";

fn check(host: &Host, more: &[&str]) -> Value {
    let said = host.ok(&[&["runtime", "check", "kubernetes", "--format", "json"], more].concat());
    serde_json::from_str::<Value>(&said).unwrap()[0].clone()
}

fn run_closed<'a>(image: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let run = ["run", "--runtime", "kubernetes", "--name", "closed", "--permission-profile", "none"];
    [&run[..], more, &[image]].concat()
}

/// A workload with a closed network is refused, with these words; nothing of it is made.
fn is_refused(host: &Host, namespace: &Namespace<'_>, image: &str, words: &[&str]) {
    let said = host.wharf(&run_closed(image, &[]));
    assert_ne!(said.code, 0, "{said:?}");
    let missing = words.iter().find(|word| !said.stderr.contains(**word));
    assert!(missing.is_none(), "it does not say {missing:?}: {said:?}");
    assert!(host.list().is_empty() && objects(namespace).is_empty());
}

#[test]
fn whether_networks_are_closed_is_tried_out_and_decides_whether_a_profile_is_refused() {
    let Some(cluster) = Cluster::shared() else { return };
    let Some(shell) = cluster.shell_image() else { return };
    let namespace = cluster.namespace("verdict");
    // The least rights suffice for the trial, too.
    let host = of_account(&cluster, &namespace);
    host.configure(&json!({ "runtimes": { "kubernetes": { "probe_image": shell } } }));
    let image = cluster.demo_image();
    is_refused(&host, &namespace, image, &["--probe-network"]);
    assert!(check(&host, &[]).get("network").is_none());
    let tried = check(&host, &["--probe-network"]);
    assert_eq!(tried["network"]["enforced"], false, "{tried}");
    assert_eq!(tried["network"]["instance"], tried["instance"], "{tried}");
    assert_eq!(objects(&namespace), Vec::<String>::new(), "nothing stays of the trial");
    let kept = check(&host, &[]);
    assert_eq!(kept["network"], tried["network"], "it is kept");
    let day = tried["network"]["at"].as_str().unwrap().split('T').next().unwrap().to_owned();
    is_refused(&host, &namespace, image, &["does not enforce NetworkPolicies", &day]);
    // Told, it is made all the same.
    host.run(&run_closed(image, &["--allow-weaker"])[1..]);
    let shown = host.ok(&["status", "closed"]);
    assert!(shown.contains("does not enforce NetworkPolicies"), "{shown}");
    let policy = field(&namespace, "networkpolicies", ".spec");
    let policy: Value = serde_json::from_str(&policy).unwrap();
    assert_eq!(policy["policyTypes"], json!(["Egress"]), "{policy}");
    assert!(policy.get("egress").is_none_or(|egress| *egress == json!([])), "{policy}");
    let selected = policy["podSelector"]["matchLabels"].as_object().unwrap();
    for (label, value) in selected {
        let path = format!(".metadata.labels.{}", label.replace('.', "\\."));
        assert_eq!(field(&namespace, "pods", &path), value.as_str().unwrap(), "{label}");
    }
    host.ok(&["rm", "closed"]);
    // A verdict that it does is enough; it counts for this instance alone.
    let verdicts = fs::read_to_string(host.path(VERDICTS)).unwrap();
    write(&host, &verdicts.replace("\"enforced\": false", "\"enforced\": true"));
    host.run(&run_closed(image, &[])[1..]);
    let shown = host.ok(&["status", "closed"]);
    assert!(!shown.contains("NetworkPolicies"), "{shown}");
    assert_eq!(field(&namespace, "networkpolicies", ".spec.policyTypes[0]"), "Egress");
    host.ok(&["rm", "closed"]);
    write(&host, &verdicts.replace("\"enforced\": false", "\"enforced\": true").replace("/test-", "/other-"));
    is_refused(&host, &namespace, image, &["--probe-network"]);
}

fn write(host: &Host, verdicts: &str) {
    use std::io::Write;
    fs::File::create(host.path(VERDICTS)).unwrap().write_all(verdicts.as_bytes()).unwrap();
}

#[test]
fn what_cannot_be_tried_out_is_told_and_leaves_nothing() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("no-verdict");
    let host = super::host(&cluster, &namespace);
    host.configure(&json!({ "runtimes": { "kubernetes": { "probe_image": "localhost/no-such-image:1" } } }));
    let said = host.wharf(&["runtime", "check", "kubernetes", "--probe-network"]);
    assert!(said.code != 0 && said.stderr.contains("ImagePull"), "{said:?}");
    assert!(!host.path(VERDICTS).exists());
    assert_eq!(objects(&namespace), Vec::<String>::new());
    let said = host.wharf(&["runtime", "check", "--probe-network"]);
    assert_eq!(said.code, 2, "a runtime must be named: {said:?}");
}
