//! Turns a specification into the objects of a cluster, hardened, without anything that was not asked for. Pure.
//!
//! | object | when | purpose |
//! |---|---|---|
//! | StatefulSet | always | the workload; of zero pods until it is started |
//! | Secret | with an environment | every variable, since it is not known which of them are secret |
//! | Service | with a port | an address for others in the cluster |
//! | NetworkPolicy | with a profile that closes the network | where the pod may connect to |
//!
//! All but the StatefulSet belong to it (`ownerReferences`, by uid): the cluster removes them with it, and nothing else.
use crate::{
    labels,
    pods::CONTAINER,
    profile::{self, Rights},
    resources,
    settings::Settings,
    volumes::{self, Volumes},
};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wharf_sdk::{Error, PullPolicy, Result, Source, Transport, WorkloadSpec};

/// How long a pod may take to end by default: the cluster's own default. Each `stop` gives its own time.
const GRACE_SECONDS: i64 = 30;
/// The number of earlier revisions of a StatefulSet that the cluster keeps.
const REVISIONS: i32 = 1;
/// The user and the group of root.
const ROOT: i64 = 0;

/// The objects to make for a workload.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) spec: WorkloadSpec,
    rights: Rights,
    resources: Value,
    volumes: Volumes,
    user: Option<(i64, Option<i64>)>,
    image: String,
}

impl Manifest {
    /// The objects for a specification.
    ///
    /// # Errors
    /// A field makes no sense, or a cluster cannot honour it; the error names the field.
    pub(crate) fn of(spec: &WorkloadSpec, settings: &Settings) -> Result<Self> {
        labels::check(&spec.labels)?;
        if port(spec) == Some(0) {
            return Err(Error::invalid("the target port must not be 0"));
        }
        if spec.working_dir.is_some() {
            return Err(Error::unsupported("working_dir", "a pod runs in no directory of this machine"));
        }
        if spec.pids_limit.is_some() {
            return Err(Error::unsupported(
                "pids_limit",
                "the kubelet of a node limits processes, not a pod",
            ));
        }
        if let Some(name) = spec.env.keys().find(|name| !is_variable(name)) {
            return Err(Error::invalid(format!("'{}' is no name of a variable", name.escape_debug())));
        }
        let rights = profile::rights(spec, &profile::enforcement(spec, settings))?;
        Ok(Self {
            resources: resources::of(spec)?,
            volumes: volumes::of(spec, settings.host_paths, rights.read_only)?,
            user: spec.user.as_deref().map(user).transpose()?,
            image: image(spec)?,
            spec: spec.clone(),
            rights,
        })
    }

    /// The StatefulSet, with zero pods.
    pub(crate) fn statefulset(&self, name: &str, settings: &Settings, demands_user: bool) -> Value {
        let spec = &self.spec;
        let weaker = match self.rights.weaker.as_slice() {
            [] => String::new(),
            weaker => serde_json::to_string(weaker).unwrap_or_default(),
        };
        let annotations = labels::annotations(spec, port(spec), &weaker);
        let metadata = json!({ "labels": labels::labels(spec), "annotations": annotations });
        json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": { "name": name, "labels": labels::labels(spec), "annotations": annotations },
            "spec": {
                "replicas": 0,
                "serviceName": name,
                "podManagementPolicy": "Parallel",
                "revisionHistoryLimit": REVISIONS,
                "selector": { "matchLabels": labels::selector(spec) },
                "template": { "metadata": metadata, "spec": self.pod(name, settings, demands_user) },
            },
        })
    }

    fn pod(&self, name: &str, settings: &Settings, demands_user: bool) -> Value {
        let secrets = settings.image_pull_secrets.iter().map(|name| json!({ "name": name }));
        let mut pod = json!({
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            // With a shared process namespace, the server is not process 1, which ignores signals without a handler.
            "shareProcessNamespace": true,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "containers": [self.container(name, demands_user)],
        });
        if settings.service_account.is_some() {
            pod["serviceAccountName"] = json!(settings.service_account);
        }
        if !settings.image_pull_secrets.is_empty() {
            pod["imagePullSecrets"] = secrets.collect();
        }
        if !self.volumes.volumes.is_empty() {
            pod["volumes"] = json!(self.volumes.volumes);
        }
        pod
    }

    fn container(&self, name: &str, demands_user: bool) -> Value {
        let spec = &self.spec;
        let is_stdio = spec.transport == Transport::Stdio;
        let pull = match spec.pull.unwrap_or_default() {
            PullPolicy::Always => "Always",
            PullPolicy::Missing => "IfNotPresent",
            PullPolicy::Never => "Never",
        };
        let mut container = json!({
            "name": CONTAINER,
            "image": self.image,
            "imagePullPolicy": pull,
            "resources": self.resources,
            "securityContext": self.security(demands_user),
            // The end of the attached stream ends the server's stdin: the rest of a message that was cut never follows.
            "stdin": is_stdio,
            "stdinOnce": is_stdio,
        });
        if !spec.args.is_empty() {
            container["args"] = json!(spec.args);
        }
        if !spec.env.is_empty() {
            let of = |(variable, key): (&String, String)| {
                let reference = json!({ "secretKeyRef": { "name": secret_name(name), "key": key } });
                json!({ "name": variable, "valueFrom": reference })
            };
            container["env"] = spec.env.keys().zip(keys(spec)).map(of).collect();
        }
        if let Some(port) = port(spec) {
            container["ports"] = json!([{ "name": "mcp", "containerPort": port }]);
        }
        if !self.volumes.mounts.is_empty() {
            container["volumeMounts"] = json!(self.volumes.mounts);
        }
        container
    }

    fn security(&self, demands_user: bool) -> Value {
        let mut context = match self.rights.privileged {
            true => json!({ "privileged": true }),
            false => json!({
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "readOnlyRootFilesystem": self.rights.read_only,
                "seccompProfile": { "type": "RuntimeDefault" },
            }),
        };
        if let Some((user, group)) = self.user {
            context["runAsUser"] = user.into();
            context["runAsNonRoot"] = (user != ROOT).into();
            if let Some(group) = group {
                context["runAsGroup"] = group.into();
            }
        } else if demands_user && !self.rights.privileged {
            context["runAsNonRoot"] = true.into();
        }
        context
    }

    /// The Secret with the environment. None if there is no environment.
    pub(crate) fn secret(&self, name: &str, owner: &Value) -> Option<Value> {
        if self.spec.env.is_empty() {
            return None;
        }
        let values = self.spec.env.values().map(|value| ByteString(value.clone().into_bytes()));
        // With `stringData`, the cluster would keep keys that are applied no more.
        let data: BTreeMap<String, ByteString> = keys(&self.spec).zip(values).collect();
        Some(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": self.metadata(&secret_name(name), owner),
            "type": "Opaque",
            "data": data,
        }))
    }

    /// The Service. None if there is no port.
    pub(crate) fn service(&self, name: &str, owner: &Value) -> Option<Value> {
        let port = port(&self.spec)?;
        Some(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(name, owner),
            "spec": {
                "type": "ClusterIP",
                "selector": labels::selector(&self.spec),
                "ports": [{ "name": "mcp", "port": port, "targetPort": port, "protocol": "TCP" }],
            },
        }))
    }

    /// The NetworkPolicy. None if the workload may connect to everything.
    pub(crate) fn network_policy(&self, name: &str, owner: &Value) -> Option<Value> {
        let egress = self.rights.egress.as_ref()?;
        let ports: Vec<Value> =
            egress.ports.iter().map(|port| json!({ "protocol": "TCP", "port": port })).collect();
        let rules = if ports.is_empty() { json!([]) } else { json!([{ "ports": ports }]) };
        Some(json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": self.metadata(name, owner),
            "spec": {
                "podSelector": { "matchLabels": labels::selector(&self.spec) },
                "policyTypes": ["Egress"],
                "egress": rules,
            },
        }))
    }

    fn metadata(&self, name: &str, owner: &Value) -> Value {
        let annotations = labels::annotations(&self.spec, None, "");
        json!({
            "name": name, "labels": labels::labels(&self.spec), "annotations": annotations,
            "ownerReferences": [owner],
        })
    }
}

/// A reference to the StatefulSet, which owns all other objects of a workload. Its removal waits for them.
pub(crate) fn owner(name: &str, object_uid: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": object_uid, "blockOwnerDeletion": true,
    })
}

/// The port inside the pod.
fn port(spec: &WorkloadSpec) -> Option<u16> {
    spec.transport.target_port()
}

fn image(spec: &WorkloadSpec) -> Result<String> {
    match &spec.source {
        Source::Image { reference } if reference.trim().is_empty() => {
            Err(Error::invalid("source: the image has no name"))
        }
        Source::Image { reference } => Ok(reference.clone()),
        other => {
            let message = format!("pods are made of images, not of a {}", other.kind());
            Err(Error::unsupported("source", message))
        }
    }
}

/// The name of the Secret. A Secret with the name of the StatefulSet itself could belong to somebody else.
pub(crate) fn secret_name(name: &str) -> String {
    format!("{name}-env")
}

/// The keys of the Secret, in the order of the variables: numbers, since not every variable's name can be a key.
fn keys(spec: &WorkloadSpec) -> impl Iterator<Item = String> {
    (0..spec.env.len()).map(|number| format!("variable.{number}"))
}

/// As clusters since 1.32 take them: printable ASCII without `=`.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| (c.is_ascii_graphic() || c == ' ') && c != '=')
}

/// `USER[:GROUP]`, in numbers: a cluster cannot look names up in an image.
fn user(text: &str) -> Result<(i64, Option<i64>)> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let number = |text: &str| {
        let number = text.parse::<u32>().map(i64::from);
        number.map_err(|_| {
            let message = format!("'{text}' is no number: a cluster takes users and groups by number alone");
            Error::unsupported("user", message)
        })
    };
    Ok((number(user)?, group.map(number).transpose()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A specification with these fields, and else the least.
    pub(crate) fn spec(fields: Value) -> WorkloadSpec {
        let mut whole = json!({
            "uid": "0af3".repeat(8), "name": "time", "host_id": "h", "transport": { "kind": "stdio" },
            "source": { "kind": "image", "reference": "registry.example/time:1" },
        });
        let Value::Object(fields) = fields else { panic!("no fields") };
        whole.as_object_mut().unwrap().extend(fields);
        serde_json::from_value(whole).unwrap()
    }

    fn manifest(fields: Value) -> Manifest {
        Manifest::of(&spec(fields), &Settings::default()).unwrap()
    }

    fn made(fields: Value) -> Value {
        manifest(fields).statefulset("time-0af3", &Settings::default(), false)
    }

    fn server(set: &Value) -> &Value {
        &set["spec"]["template"]["spec"]["containers"][0]
    }

    #[test]
    fn a_deployed_pod_is_restricted_and_has_no_replica_until_it_is_started() {
        let set = made(json!({}));
        assert_eq!(set["spec"]["replicas"], 0);
        assert_eq!(set["spec"]["template"]["spec"]["automountServiceAccountToken"], false);
        let server = server(&set);
        assert_eq!((&server["stdin"], &server["stdinOnce"]), (&json!(true), &json!(true)));
        let restricted = json!({
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "readOnlyRootFilesystem": false,
            "seccompProfile": { "type": "RuntimeDefault" },
        });
        assert_eq!(server["securityContext"], restricted);
        assert!(server.get("env").is_none() && server.get("ports").is_none());
    }

    #[test]
    fn no_value_of_a_variable_is_in_the_statefulset() {
        let alike = json!({ "env": { "variable.1": "1", "x y": "2" } });
        let alike = manifest(alike).secret("n", &owner("n", "s-1")).unwrap();
        assert_eq!(alike["data"], json!({ "variable.0": "MQ==", "variable.1": "Mg==" }));
        let env = json!({ "env": { "API_TOKEN": "s3cret-value", "with space": "other-value" } });
        let base64 = json!({ "variable.0": "czNjcmV0LXZhbHVl", "variable.1": "b3RoZXItdmFsdWU=" });
        let (set, manifest) = (made(env.clone()), manifest(env));
        let text = set.to_string();
        assert!(!text.contains("s3cret-value") && !text.contains("other-value"), "{text}");
        let secret = manifest.secret("time-0af3", &owner("time-0af3", "s-1")).unwrap();
        assert_eq!((&secret["data"], secret.get("stringData")), (&base64, None));
        assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "s-1");
        let env = &server(&set)["env"];
        assert_eq!(
            env[0]["valueFrom"]["secretKeyRef"],
            json!({ "name": "time-0af3-env", "key": "variable.0" })
        );
        assert_eq!(
            (&env[1]["name"], &env[1]["valueFrom"]["secretKeyRef"]["key"]),
            (&json!("with space"), &json!("variable.1"))
        );
    }

    #[test]
    fn users_are_numbers() {
        let context = |user: &str| server(&made(json!({ "user": user })))["securityContext"].clone();
        assert_eq!(
            (&context("1000:50")["runAsUser"], &context("1000:50")["runAsGroup"]),
            (&json!(1000), &json!(50))
        );
        assert_eq!(context("0")["runAsNonRoot"], false);
        let refused = Manifest::of(&spec(json!({ "user": "app" })), &Settings::default()).unwrap_err();
        assert_eq!(refused.details.unwrap()["field"], "user");
        let demanded = manifest(json!({})).statefulset("n", &Settings::default(), true);
        assert_eq!(server(&demanded)["securityContext"]["runAsNonRoot"], true);
    }

    #[test]
    fn a_closed_network_is_a_policy() {
        let closed = json!({ "permission_profile": {}, "allow_weaker": true });
        let policy = manifest(closed).network_policy("n", &owner("n", "s-1")).unwrap();
        assert_eq!(
            (&policy["spec"]["policyTypes"], &policy["spec"]["egress"]),
            (&json!(["Egress"]), &json!([]))
        );
        assert_eq!(policy["spec"]["podSelector"]["matchLabels"]["wharf.uid"], "0af3".repeat(8));
        let ports = json!({ "network": { "outbound": { "allow_port": [443] } } });
        let ports = json!({ "permission_profile": ports, "allow_weaker": true });
        let policy = manifest(ports).network_policy("n", &owner("n", "s-1")).unwrap();
        assert_eq!(policy["spec"]["egress"], json!([{ "ports": [{ "protocol": "TCP", "port": 443 }] }]));
        assert!(manifest(json!({})).network_policy("n", &owner("n", "s-1")).is_none());
    }

    #[test]
    fn a_port_has_a_service() {
        let http = json!({ "transport": { "kind": "http", "target_port": 8080 } });
        let service = manifest(http.clone()).service("n", &owner("n", "s-1")).unwrap();
        assert_eq!(service["spec"]["ports"][0]["targetPort"], 8080);
        let set = made(http);
        assert_eq!(set["metadata"]["annotations"][labels::TARGET_PORT], "8080");
        assert_eq!(server(&set)["stdin"], false);
        assert!(manifest(json!({})).service("n", &owner("n", "s-1")).is_none());
    }
}
