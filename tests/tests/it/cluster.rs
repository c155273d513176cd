//! The cluster of the Kubernetes tests: it is real, and nothing of it stays.
mod ending;

use serde_json::{Value, json};
use std::net::TcpStream;
use wharf_tests::cluster::{Cluster, Namespace, Part};
use wharf_tests::host::eventually;

/// Starts a pod of one container, and returns its address once it is ready.
fn pod(namespace: &Namespace<'_>, name: &str, container: &Value) -> String {
    let mut container = container.clone();
    container["name"] = json!("only");
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": { "terminationGracePeriodSeconds": 1, "containers": [container] },
    });
    namespace.apply(&pod.to_string());
    namespace.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=60s"]);
    namespace.kubectl(&["get", "pod", name, "--output", "jsonpath={.status.podIP}"])
}

/// Reads a path of the namespace from the API server.
fn raw(cluster: &Cluster, namespace: &Namespace<'_>, path: &str) -> String {
    cluster.kubectl(&["get", "--raw", &format!("/api/v1/namespaces/{}/{path}", namespace.name())])
}

#[test]
fn a_pod_of_a_local_image_serves_and_its_logs_are_read_through_the_api() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("serves");
    let image = cluster.demo_image();
    pod(&namespace, "server", &json!({ "image": image, "stdin": true }));
    let logs = raw(&cluster, &namespace, "pods/server/log");
    assert!(logs.contains("serving MCP on standard input and output"), "{logs}");
    let described: Value = serde_json::from_str(&raw(&cluster, &namespace, "pods/server")).unwrap();
    assert_eq!(described["status"]["phase"], "Running", "{described}");
    assert_eq!(described["status"]["containerStatuses"][0]["image"], image, "{described}");
    assert_eq!(described["spec"]["nodeName"], "node", "{described}");
}

#[test]
fn pods_reach_each_other_and_services_and_nothing_else() {
    let Some(cluster) = Cluster::shared() else { return };
    let Some(image) = cluster.shell_image() else { return };
    let namespace = cluster.namespace("network");
    let serve = "while :; do echo hello from $HOSTNAME | nc -l -p 8080; done";
    let address = pod(&namespace, "web", &json!({ "image": image, "command": ["sh", "-c", serve] }));
    pod(&namespace, "client", &json!({ "image": image, "command": ["sleep", "1000"] }));
    namespace.kubectl(&["expose", "pod", "web", "--port=80", "--target-port=8080"]);
    let service = namespace.kubectl(&["get", "service", "web", "--output", "jsonpath={.spec.clusterIP}"]);
    let ask = |address: &str, port: &str| {
        let args = ["exec", "client", "--", "nc", "-w", "5", address, port];
        namespace.command(&args).output().unwrap()
    };
    for (address, port) in [(&address, "8080"), (&service, "80")] {
        eventually("the pod is reached from the other one", || {
            ask(address, port).stdout == b"hello from web\n"
        });
        // The machine reaches both, as a node of a cluster does.
        eventually("the pod is reached from the machine", || {
            // Between two connections nobody listens for a moment.
            let stream = TcpStream::connect(format!("{address}:{port}"));
            let said = stream.and_then(std::io::read_to_string);
            said.is_ok_and(|said| said == "hello from web\n")
        });
    }
    // A pod cannot reach the machine that the cluster runs on, nor anything beyond it.
    let server = cluster.kubectl(&["config", "view", "--output", "jsonpath={.clusters[0].cluster.server}"]);
    let link = TcpStream::connect(server.trim_start_matches("https://")).unwrap();
    for outside in [link.local_addr().unwrap().ip().to_string(), "192.0.2.1".to_owned()] {
        let said = ask(&outside, "80");
        assert!(!said.status.success(), "{outside}: {said:?}");
        assert!(String::from_utf8_lossy(&said.stderr).contains("unreachable"), "{outside}: {said:?}");
    }
}

#[test]
fn the_api_server_can_be_killed_and_frozen_and_pods_run_on() {
    let Some(cluster) = Cluster::alone() else { return };
    let namespace = cluster.namespace("outage");
    pod(&namespace, "server", &json!({ "image": cluster.demo_image(), "stdin": true }));
    let state =
        || namespace.kubectl(&["get", "pod", "server", "--output", "jsonpath={.status.containerStatuses}"]);
    let before = state();
    let ask = || namespace.command(&["get", "pods", "--request-timeout=2s"]).output().unwrap();
    cluster.kill(Part::ApiServer);
    let said = ask();
    assert!(!said.status.success() && String::from_utf8_lossy(&said.stderr).contains("refused"), "{said:?}");
    cluster.start(Part::ApiServer);
    eventually("it answers", || cluster.is_ready());
    cluster.freeze(Part::ApiServer);
    let said = ask();
    assert!(!said.status.success() && !String::from_utf8_lossy(&said.stderr).contains("refused"), "{said:?}");
    cluster.thaw(Part::ApiServer);
    assert_eq!(state(), before, "the pod ran on");
}

#[test]
fn an_account_may_do_what_it_was_given_and_nothing_else() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("rights");
    namespace.kubectl(&["create", "serviceaccount", "viewer"]);
    namespace.kubectl(&["create", "role", "viewer", "--verb=list", "--resource=pods"]);
    let account = format!("--serviceaccount={}:viewer", namespace.name());
    namespace.kubectl(&["create", "rolebinding", "viewer", "--role=viewer", &account]);
    let kubeconfig = namespace.kubeconfig_of("viewer");
    let ask = |args: &[&str]| cluster.command(args).env("KUBECONFIG", &kubeconfig).output().unwrap();
    let listed = ask(&["get", "pods"]);
    assert!(listed.status.success(), "{listed:?}");
    for args in [&["get", "secrets"][..], &["get", "pods", "--namespace", "default"], &["get", "nodes"]] {
        let refused = ask(args);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("Forbidden"), "{args:?}: {refused:?}");
    }
}
