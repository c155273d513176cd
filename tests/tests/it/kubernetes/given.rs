//! What a pod is given by name: claims, a service account, Secrets for registries; and what it may use.
use super::refused::is_told;
use super::{field, host, run};
use crate::containers::add;
use serde_json::json;
use wharf_tests::cluster::Cluster;
use wharf_tests::host::eventually;

/// A volume, which is a folder of the node, and the claim `notes` that it is for.
fn claim_of_a_folder(cluster: &Cluster, namespace: &str) -> (String, String) {
    let folder = cluster.folder().join(format!("volume-{namespace}"));
    std::fs::create_dir(&folder).unwrap();
    let folder = folder.display();
    let common = "storageClassName: '', accessModes: [ReadWriteOnce]";
    let volume = format!(
        "{{apiVersion: v1, kind: PersistentVolume, metadata: {{name: {namespace}}}, spec: {{{common}, \
         capacity: {{storage: 1Mi}}, hostPath: {{path: {folder}}}, \
         claimRef: {{name: notes, namespace: {namespace}}}}}}}\n"
    );
    let claim = format!(
        "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: notes}}, spec: {{{common}, \
         volumeName: {namespace}, resources: {{requests: {{storage: 1Mi}}}}}}}}\n"
    );
    (volume, claim)
}

#[test]
fn a_claim_a_service_account_and_secrets_of_registries_are_the_pods() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("given");
    let host = host(&cluster, &namespace);
    let settings = json!({ "service_account": "worker", "image_pull_secrets": ["registry-login"] });
    host.configure(&json!({ "runtimes": { "kubernetes": settings } }));
    namespace.kubectl(&["create", "serviceaccount", "worker"]);
    let login = "--from-literal=.dockerconfigjson={\"auths\":{}}";
    let typed = "--type=kubernetes.io/dockerconfigjson";
    namespace.kubectl(&["create", "secret", "generic", "registry-login", typed, login]);
    let (volume, claim) = claim_of_a_folder(&cluster, namespace.name());
    namespace.apply(&claim);
    let url = std::thread::scope(|scope| {
        let run = scope.spawn(|| run(&host, &cluster, "in-pod", &["-v", "notes:/data"]));
        // A cloud takes its time to make a volume.
        let unbound = || field(&namespace, "pods", ".status.conditions[*].message").contains("unbound");
        eventually("the pod waits for its claim", unbound);
        std::thread::sleep(std::time::Duration::from_secs(7));
        namespace.apply(&volume);
        run.join().expect("the server runs")
    });
    assert_eq!(add(&url), "5");
    let of_pod = |path: &str| field(&namespace, "pods", path);
    assert_eq!(of_pod(".spec.volumes[*].persistentVolumeClaim.claimName"), "notes");
    assert_eq!(of_pod(".spec.containers[*].volumeMounts[*].mountPath"), "/data", "no token is mounted");
    assert_eq!(of_pod(".spec.serviceAccountName"), "worker");
    assert_eq!(of_pod(".spec.automountServiceAccountToken"), "false");
    assert_eq!(of_pod(".spec.imagePullSecrets[*].name"), "registry-login");
    host.ok(&["rm", "in-pod"]);
    assert_eq!(field(&namespace, "persistentvolumeclaims", ".metadata.name"), "notes");
    assert_eq!(field(&namespace, "serviceaccounts", ".metadata.name").matches("worker").count(), 1);
    assert_eq!(field(&namespace, "secrets", ".metadata.name"), "registry-login");
    namespace.kubectl(&["delete", "persistentvolumeclaim", "notes"]);
    cluster.kubectl(&["delete", "persistentvolume", namespace.name()]);
}

#[test]
fn a_server_that_takes_more_memory_than_it_may_is_told_as_that() {
    let Some(cluster) = Cluster::shared() else { return };
    let Some(image) = cluster.shell_image() else { return };
    let namespace = cluster.namespace("greedy");
    let host = host(&cluster, &namespace);
    let greedy = ["--memory", "16m", image, "--", "sh", "-c", "x=0123456789; while :; do x=$x$x; done"];
    is_told(&host, &namespace, &greedy, &["OOMKilled"]);
}
