//! Workloads as pods of a real cluster, beside containers and plain processes.
mod absent;
mod credentials;
mod edited;
mod exchanged;
mod given;
mod hostile;
mod meddled;
mod moved;
mod network;
mod pulling;
mod refused;
mod restarted;
mod rights;
mod served;

use crate::containers::{add, assert_serves_on, is_running_and_fresh};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use wharf_tests::client::Client;
use wharf_tests::cluster::{Cluster, Namespace};
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::{Host, demo_server};

/// The kubeconfig file of a host of these tests.
const KUBECONFIG: &str = "engines/kubeconfig";

/// A kubeconfig with all rights, and a namespace of its own.
fn kubeconfig(cluster: &Cluster, namespace: &str) -> Value {
    let whole = cluster.kubectl(&["config", "view", "--raw", "--output", "json"]);
    let mut config: Value = serde_json::from_str(&whole).unwrap();
    config["contexts"][0]["context"]["namespace"] = json!(namespace);
    config
}

/// The file is written as kubectl writes it: the new file replaces the old one.
fn write(path: &Path, config: &Value) {
    let new = path.with_extension("new");
    File::create(&new).and_then(|mut file| file.write_all(config.to_string().as_bytes())).unwrap();
    fs::rename(&new, path).unwrap();
}

/// A host that finds a cluster and a namespace of it, and no other engine. It may do there what `rbac.yaml` says, and nothing else.
pub(crate) fn host(cluster: &Cluster, namespace: &Namespace<'_>) -> Host {
    rights::of_account(cluster, namespace)
}

/// The same with all rights in the whole cluster.
fn host_of_admin(cluster: &Cluster, namespace: &Namespace<'_>) -> Host {
    let host = Host::new();
    host.add_plugin("kubernetes");
    fs::create_dir(host.engines()).unwrap();
    write(&host.path(KUBECONFIG), &kubeconfig(cluster, namespace.name()));
    host
}

/// Runs our server in a pod.
fn run(host: &Host, cluster: &Cluster, name: &str, more: &[&str]) -> String {
    let image = cluster.demo_image();
    host.run(&[&["--runtime", "kubernetes", "--name", name], more, &[image]].concat())
}

/// True if a call reaches a server. That a session can be opened shows less: a server that has just gone may not be missed yet.
pub(crate) fn answers(url: &str) -> bool {
    let Ok(mut client) = Client::open(url) else { return false };
    client.call_tool("add", json!({ "a": 2, "b": 3 })).is_ok_and(|sum| sum == "5")
}

/// All objects of a namespace that wharf makes or causes.
pub(crate) fn objects(namespace: &Namespace<'_>) -> Vec<String> {
    const KINDS: &str = "statefulsets,controllerrevisions,pods,secrets,services,networkpolicies";
    let listed = namespace.kubectl(&["get", KINDS, "--output", "name"]);
    listed.lines().map(str::to_owned).collect()
}

/// A field of the only object of a kind.
fn field(namespace: &Namespace<'_>, kind: &str, path: &str) -> String {
    namespace.kubectl(&["get", kind, "--output", &format!("jsonpath={{.items[*]{path}}}")])
}

fn pod_uid(namespace: &Namespace<'_>) -> String {
    field(namespace, "pods", ".metadata.uid")
}

#[test]
fn r02_pods_run_beside_containers_and_processes() {
    let Some(cluster) = Cluster::shared() else { return };
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let namespace = cluster.namespace("beside");
    let host = host(&cluster, &namespace);
    host.add_plugin("docker");
    host.configure(&json!({ "runtimes": { "docker": { "endpoint": docker.endpoint() } } }));
    let urls = [
        ("in-pod", "kubernetes", run(&host, &cluster, "in-pod", &["-e", "TOKEN=not-for-all"])),
        ("in-docker", "docker", host.run(&["--runtime", "docker", "--name", "in-docker", DEMO_IMAGE])),
        ("plain", "process", host.run(&["--name", "plain", &demo_server()])),
    ];
    for (name, runtime, url) in &urls {
        assert_serves_on(runtime, &host, name, url);
    }
    let set = namespace.kubectl(&["get", "statefulsets", "--output", "json"]);
    assert!(!set.contains("not-for-all") && set.contains("secretKeyRef"), "{set}");
    for (name, _, url) in &urls {
        host.ok(&["stop", name]);
        assert_eq!(host.row(name).unwrap()["status"], "stopped");
        assert!(host.row(name).unwrap().get("stale").is_none());
        if *name == "in-pod" {
            let replicas = field(&namespace, "statefulsets", ".spec.replicas");
            assert_eq!((replicas.as_str(), pod_uid(&namespace).as_str()), ("0", ""));
        }
        host.ok(&["start", name]);
        assert_eq!(add(url), "5", "{name}");
    }
    let secret = field(&namespace, "secrets", ".metadata.name");
    assert!(secret.ends_with("-env"), "{secret}");
    host.ok(&["rm", "--all"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn r09_one_name_in_two_hosts_in_docker_and_as_a_foreign_object() {
    let Some(cluster) = Cluster::shared() else { return };
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let namespace = cluster.namespace("names");
    let (one, two) = (host(&cluster, &namespace), host(&cluster, &namespace));
    let third = Host::new();
    third.add_plugin("docker");
    third.configure(&json!({ "runtimes": { "docker": { "endpoint": docker.endpoint() } } }));
    namespace.kubectl(&["create", "service", "clusterip", "demo", "--tcp=80"]);
    let urls = [
        run(&one, &cluster, "demo", &[]),
        run(&two, &cluster, "demo", &[]),
        third.run(&["--runtime", "docker", "--name", "demo", DEMO_IMAGE]),
    ];
    assert!(urls.iter().all(|url| add(url) == "5"));
    assert_eq!(field(&namespace, "pods", ".metadata.name").split(' ').count(), 2);
    one.ok(&["rm", "demo"]);
    assert!(one.list().is_empty());
    assert!(is_running_and_fresh(&two, "demo") && is_running_and_fresh(&third, "demo"));
    assert_eq!((add(&urls[1]), add(&urls[2])), ("5".to_owned(), "5".to_owned()));
    two.ok(&["rm", "demo"]);
    assert!(is_running_and_fresh(&third, "demo"));
    assert_eq!(objects(&namespace), ["service/demo"], "the foreign one is not touched");
}
