//! Credentials that a program of the kubeconfig hands out, and that run out.
use super::rights::of_account;
use super::{KUBECONFIG, answers, objects, pod_uid, run, write};
use crate::containers::{add, is_running_and_fresh};
use serde_json::{Value, json};
use std::path::PathBuf;
use wharf_tests::cluster::{Cluster, Namespace};
use wharf_tests::host::{Host, eventually};

/// Lets a program hand out the credentials of the host's user, from a file.
struct Helper {
    credentials: PathBuf,
    calls: PathBuf,
}

impl Helper {
    fn of(host: &Host) -> Self {
        let (credentials, calls) = (host.path("credentials.json"), host.path("calls"));
        let text = format!("echo >>{}; cat {}", calls.display(), credentials.display());
        let program = host.script("helper", &text);
        let mut config: Value =
            serde_json::from_slice(&std::fs::read(host.path(KUBECONFIG)).unwrap()).unwrap();
        config["users"][0]["user"] = json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1",
            "command": program, "interactiveMode": "Never" } });
        write(&host.path(KUBECONFIG), &config);
        Self { credentials, calls }
    }

    fn has(&self, token: &str, until: &str) {
        let status = json!({ "token": token.trim(), "expirationTimestamp": until });
        let credential = json!({ "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "status": status });
        write(&self.credentials, &credential);
    }

    fn calls(&self) -> usize {
        std::fs::read_to_string(&self.calls).unwrap_or_default().lines().count()
    }
}

/// A token of the account that can be withdrawn by itself.
fn token(namespace: &Namespace<'_>, name: &str) -> String {
    namespace.kubectl(&["create", "secret", "generic", name]);
    let bound = ["--bound-object-kind", "Secret", "--bound-object-name", name];
    namespace.kubectl(&[&["create", "token", "wharf"], &bound[..]].concat())
}

/// The API server takes this token no more.
fn withdraw(host: &Host, cluster: &Cluster, namespace: &Namespace<'_>, name: &str, token: &str) {
    namespace.kubectl(&["delete", "secret", name]);
    let mut config: Value = serde_json::from_slice(&std::fs::read(host.path(KUBECONFIG)).unwrap()).unwrap();
    config["users"][0]["user"] = json!({ "token": token.trim() });
    let path = host.path("withdrawn");
    write(&path, &config);
    eventually("the token is refused", || {
        let said = cluster.command(&["get", "pods"]).env("KUBECONFIG", &path).output().unwrap();
        String::from_utf8_lossy(&said.stderr).contains("Unauthorized")
    });
}

#[test]
fn credentials_that_run_out_or_are_withdrawn_are_asked_for_anew() {
    const PASSED: &str = "2026-01-01T00:00:00Z";
    const FAR: &str = "2100-01-01T00:00:00Z";
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("credentials");
    let host = of_account(&cluster, &namespace);
    let helper = Helper::of(&host);
    // The first runs out at once, so each request asks for another one.
    let (first, second) = (token(&namespace, "first"), token(&namespace, "second"));
    helper.has(&first, PASSED);
    let url = run(&host, &cluster, "in-pod", &[]);
    assert_eq!(add(&url), "5");
    // Counted before the new ones are there: the supervisor may ask as soon as the API server breaks a connection off.
    let calls = helper.calls();
    helper.has(&second, FAR);
    withdraw(&host, &cluster, &namespace, "first", &first);
    let comes_back = |why: &str, calls: usize| {
        let first = pod_uid(&namespace);
        namespace.kubectl(&["delete", "pods", "--all", "--wait=false", "--grace-period=1"]);
        eventually(why, || {
            let now = pod_uid(&namespace);
            now.len() == first.len() && now != first && answers(&url)
        });
        // A pod that is listed no more may serve for a moment still.
        eventually(why, || helper.calls() > calls);
        eventually("it is running", || is_running_and_fresh(&host, "in-pod"));
    };
    comes_back("the supervisor has the second ones", calls);
    // Only the API server's refusal shows that these have expired.
    let calls = helper.calls();
    helper.has(&token(&namespace, "third"), FAR);
    withdraw(&host, &cluster, &namespace, "second", &second);
    comes_back("the supervisor has the third ones", calls);
    assert_eq!(add(&url), "5");
    host.ok(&["rm", "in-pod"]);
    assert_eq!(objects(&namespace), ["secret/third"]);
}

#[test]
fn a_program_that_prints_for_ever_is_ended_and_named() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("endless");
    let host = of_account(&cluster, &namespace);
    let helper = Helper::of(&host);
    let program = host.script("endless", "exec yes");
    let mut config: Value = serde_json::from_slice(&std::fs::read(host.path(KUBECONFIG)).unwrap()).unwrap();
    config["users"][0]["user"]["exec"]["command"] = json!(program);
    write(&host.path(KUBECONFIG), &config);
    let said = host.wharf(&["run", "--runtime", "kubernetes", cluster.demo_image()]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.stderr.contains("endless") && said.stderr.contains("prints more than"), "{said:?}");
    assert!(host.list().is_empty());
    assert_eq!((helper.calls(), objects(&namespace)), (0, Vec::<String>::new()));
}
