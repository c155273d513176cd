//! Other contexts, and other clusters in the place of the recorded one. The host has all rights, in all of them.
use super::{KUBECONFIG, field, host_of_admin, kubeconfig, objects, run, write};
use crate::containers::{add, digest, is_running_and_fresh};
use serde_json::{Value, json};
use wharf_tests::cluster::Cluster;
use wharf_tests::host::Host;

fn identity(cluster: &Cluster) -> String {
    cluster.kubectl(&["get", "namespace", "kube-system", "--output", "jsonpath={.metadata.uid}"])
}

#[test]
fn r08_another_cluster_behind_the_recorded_endpoint_is_not_believed_and_not_told() {
    let Some(cluster) = Cluster::shared() else { return };
    let Some(other) = Cluster::own() else { return };
    let namespace = cluster.namespace("exchanged");
    let host = host_of_admin(&cluster, &namespace);
    let url = run(&host, &cluster, "in-pod", &[]);
    let before = digest(&host, "in-pod");
    let pod = field(&namespace, "pods", ".metadata.uid");
    other.kubectl(&["create", "namespace", namespace.name()]);
    let (first, second) = (kubeconfig(&cluster, namespace.name()), kubeconfig(&other, namespace.name()));
    write(&host.path(KUBECONFIG), &second);
    let row = host.row("in-pod").unwrap();
    assert_eq!((&row["status"], &row["stale"]), (&json!("running"), &json!(true)), "{row}");
    assert!(row["stale_reason"].as_str().unwrap().contains(namespace.name()), "its place is told: {row}");
    for command in ["stop", "rm", "restart"] {
        let said = host.wharf(&[command, "in-pod"]);
        assert_eq!(said.code, 5, "{command}: {said:?}");
        assert!(said.stderr.contains(&identity(&cluster)), "{command} names the recorded one: {said:?}");
        assert!(said.stderr.contains(&identity(&other)), "{command} names the one that answers: {said:?}");
    }
    let reconciled = host.wharf(&["reconcile"]);
    assert_eq!(reconciled.code, 5, "an owner could not be asked: {reconciled:?}");
    let told = other.kubectl(&["get", "statefulsets,pods,secrets", "--all-namespaces", "--output", "name"]);
    assert_eq!(told, "", "it was told nothing");
    write(&host.path(KUBECONFIG), &first);
    assert!(is_running_and_fresh(&host, "in-pod"));
    assert_eq!((digest(&host, "in-pod"), add(&url).as_str()), (before, "5"));
    assert_eq!(field(&namespace, "pods", ".metadata.uid"), pod, "it is the same pod");
    host.ok(&["rm", "in-pod"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}

/// The same kubeconfig with another context, for another namespace.
fn with_another_context(mut config: Value, namespace: &str) -> Value {
    let mut other = config["contexts"][0].clone();
    (other["name"], other["context"]["namespace"]) = (json!("other"), json!(namespace));
    config["contexts"].as_array_mut().unwrap().push(other);
    config
}

/// A check with the options of a place asks there, and nowhere else; one whose context is gone is not answered by the usual one.
fn is_asked_in_its_place(host: &Host, config: &Value, namespace: &str) {
    let check =
        |more: &[&str]| host.wharf(&[&["runtime", "check", "kubernetes", "--format", "json"], more].concat());
    let context = config["contexts"][0]["name"].as_str().unwrap();
    let said = check(&["--kube-context", context]);
    let tried: Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(said.code == 0 && tried[0]["instance"].as_str().unwrap().contains(namespace), "{said:?}");
    assert_eq!(check(&["--kube-context", "no-such"]).code, 5);
    // The workload's own context has gone: the hint asks for that one.
    let mut without = config.clone();
    without["contexts"].as_array_mut().unwrap().remove(0);
    write(&host.path(KUBECONFIG), &without);
    let step = format!("wharf runtime check kubernetes --kube-context {context} --namespace {namespace}");
    for command in [&["list"][..], &["stop", "first"], &["reconcile", "first"]] {
        let said = host.wharf(command);
        assert!(said.stderr.contains(&step) || said.stdout.contains(&step), "{command:?}: {said:?}");
    }
    let row = host.row("first").unwrap();
    assert_eq!((&row["stale"], &row["advice"][0]["do"]), (&json!(true), &json!("check_runtime")), "{row}");
    write(&host.path(KUBECONFIG), config);
    assert!(is_running_and_fresh(host, "first"));
}

#[test]
fn r02_another_current_context_is_for_new_workloads_alone() {
    let Some(cluster) = Cluster::shared() else { return };
    let (namespace, second) = (cluster.namespace("first"), cluster.namespace("second"));
    let host = host_of_admin(&cluster, &namespace);
    let mut config = with_another_context(kubeconfig(&cluster, namespace.name()), second.name());
    write(&host.path(KUBECONFIG), &config);
    let url = run(&host, &cluster, "first", &[]);
    let before = digest(&host, "first");
    config["current-context"] = json!("other");
    write(&host.path(KUBECONFIG), &config);
    assert!(is_running_and_fresh(&host, "first"));
    // The shell's environment names no cluster, or one that cannot be reached; and a proxy, which is for others.
    for variable in ["", "/no/such/kubeconfig"] {
        let mut list = host.command(&["list", "--format", "json"]);
        list.env("HTTPS_PROXY", "http://127.0.0.1:1").env("NO_PROXY", "localhost,198.18.0.0/15");
        let listed = list.env("KUBECONFIG", variable).output();
        let rows: Vec<Value> = serde_json::from_slice(&listed.unwrap().stdout).unwrap();
        assert!(rows[0]["status"] == "running" && rows[0].get("stale").is_none(), "{variable}: {rows:?}");
    }
    assert_eq!((digest(&host, "first"), add(&url).as_str()), (before, "5"));
    is_asked_in_its_place(&host, &config, namespace.name());
    // Both side by side, in one list; a third one by its options.
    let other = run(&host, &cluster, "second", &[]);
    let chosen = run(&host, &cluster, "chosen", &["--namespace", namespace.name()]);
    let context = config["contexts"][0]["name"].as_str().unwrap();
    let named = run(&host, &cluster, "named", &["--kube-context", context]);
    assert!(["first", "second", "chosen", "named"].iter().all(|name| is_running_and_fresh(&host, name)));
    assert!([other, chosen, named].iter().all(|url| add(url) == "5"));
    let wide = host.ok(&["list", "--wide"]);
    assert!(wide.contains(&format!("{context}/{}", namespace.name())), "{wide}");
    assert!(wide.contains(&format!("other/{}", second.name())), "{wide}");
    assert!(!host.ok(&["list"]).contains("PLACE"));
    let place = json!({ "context": context, "namespace": namespace.name() });
    assert_eq!(host.row("first").unwrap()["runtime_place"], place);
    let pods = |namespace| field(namespace, "pods", ".metadata.name").split(' ').count();
    assert_eq!((pods(&namespace), pods(&second)), (3, 1));
    host.ok(&["stop", "first"]);
    assert_eq!((pods(&namespace), pods(&second)), (2, 1));
    host.ok(&["rm", "--all"]);
    assert_eq!((objects(&namespace), objects(&second)), (vec![], vec![]));
}

#[test]
fn an_option_of_a_cluster_without_its_runtime_says_which_runtime_has_it() {
    let host = Host::new();
    host.add_plugin("kubernetes");
    for (option, more) in [("--kube-context", &[][..]), ("--namespace", &["--runtime", "process"][..])] {
        let said = host.wharf(&[&["run", option, "x"], more, &["localhost/server:1"]].concat());
        assert_eq!(said.code, 2, "{said:?}");
        for words in [format!("has no {option}").as_str(), "--runtime kubernetes"] {
            assert!(said.stderr.contains(words), "{option}: {said:?}");
        }
    }
    assert!(host.list().is_empty());
}
