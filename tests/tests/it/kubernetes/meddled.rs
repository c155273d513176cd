//! Objects that somebody scales or removes by hand: `list`, `status` and `reconcile` say why the workload does not run, and a command
//! brings it back.
use super::{host, objects, run};
use crate::containers::add;
use wharf_tests::cluster::{Cluster, Namespace};
use wharf_tests::host::{Host, eventually};

/// Waits until these commands say why it does not run.
fn is_told(host: &Host, words: &[&str]) {
    for command in [&["list"][..], &["status", "in-pod"], &["reconcile", "in-pod"]] {
        eventually(&format!("{command:?} says one of: {words:?}"), || {
            let said = host.wharf(command);
            words.iter().any(|words| said.stdout.contains(words) || said.stderr.contains(words))
        });
    }
}

/// Something is done to the objects of a workload that runs; why it does not run then is told, and this command brings it back.
fn is_brought_back(name: &str, meddle: impl Fn(&Namespace<'_>), words: &[&str], command: &str) {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace(name);
    let host = host(&cluster, &namespace);
    let url = run(&host, &cluster, "in-pod", &["-e", "TOKEN=a-token"]);
    meddle(&namespace);
    is_told(&host, words);
    host.ok(&[command, "in-pod"]);
    assert_eq!(add(&url), "5");
    host.ok(&["rm", "in-pod"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}

#[test]
fn one_that_somebody_has_scaled_to_none_says_so_until_a_command_starts_it() {
    let scale = |namespace: &Namespace<'_>| {
        namespace.kubectl(&["scale", "statefulsets", "--all", "--replicas=0"]);
    };
    is_brought_back("scaled", scale, &["somebody has scaled its StatefulSet to none"], "start");
}

#[test]
fn one_whose_statefulset_somebody_has_removed_says_so_until_a_command_starts_it() {
    let remove = |namespace: &Namespace<'_>| {
        namespace.kubectl(&["delete", "statefulsets", "--all", "--timeout=60s"]);
    };
    // It is gone, or being removed, when its end is seen; or nothing of it is there any more, if that takes longer than its
    // output to end.
    let words = ["its StatefulSet is ", "its runtime no longer has it"];
    is_brought_back("unset", remove, &words, "start");
}

#[test]
fn one_whose_secret_somebody_has_removed_says_so_until_it_is_restarted() {
    let remove = |namespace: &Namespace<'_>| {
        namespace.kubectl(&["delete", "secrets", "--all"]);
        namespace.kubectl(&["delete", "pods", "--all", "--wait=false", "--grace-period=1"]);
    };
    is_brought_back(
        "no-secret",
        remove,
        &["-env is gone, and a restart of the workload makes it anew"],
        "restart",
    );
}
