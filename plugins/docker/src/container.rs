//! Turns a specification into the request to create a container, hardened, without anything that was not asked for.
//! [`crate::deploy`] uses it.
use crate::{
    flavor::Flavor,
    labels, limits, mounts, options,
    platform::Platform,
    port::target_port,
    profile::{self, Rights},
    reference::Reference,
};
use bollard::models::{ContainerCreateBody, HostConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum};
use std::{collections::HashMap, path::PathBuf};
use wharf_sdk::{Error, Measure, Result, Source, WorkloadSpec};

/// The options of the mount on `/tmp` of a container whose root is read-only.
const TMP_OPTIONS: &str = "rw,nosuid,nodev,size=64m";

/// The number of the uid's digits in a container's name; its labels have all of them.
const UID_PART: usize = 8;

/// The image of the workload; any other source is refused.
pub(crate) fn image(spec: &WorkloadSpec) -> Result<Reference<'_>> {
    match &spec.source {
        Source::Image { reference } => Reference::parse(reference),
        other => Err(Error::unsupported(
            "source",
            format!("containers are made of images, not of a {}", other.kind()),
        )),
    }
}

/// The container's name, for people; no code looks for a container by name.
pub(crate) fn name(spec: &WorkloadSpec) -> String {
    let part = spec.uid.get(..UID_PART).unwrap_or(&spec.uid);
    format!("{}-{part}", spec.name)
}

/// The name for the next attempt, where another container has the usual one.
pub(crate) fn other_name(spec: &WorkloadSpec, attempt: usize) -> String {
    format!("{}-{attempt}", name(spec))
}

/// The request to create the container, without the parts that depend on the image.
pub(crate) fn body(flavor: Flavor, spec: &WorkloadSpec, private: &[PathBuf]) -> Result<ContainerCreateBody> {
    labels::check(&spec.labels)?;
    let port = target_port(spec);
    if port == Some(0) {
        return Err(Error::invalid("the target port must not be 0"));
    }
    if let Some(platform) = &spec.container.platform {
        // It is no part of the request's body; here it is refused before an image is pulled for it.
        Platform::parse(platform)?;
    }
    let rights = profile::rights(spec)?;
    let env = spec.env.iter().map(|(name, value)| variable(name, value)).collect::<Result<_>>()?;
    let published = port.map(|port| format!("{port}/tcp"));
    let is_stdio = port.is_none();
    let mut labels = labels::of(spec, port);
    labels.insert(labels::WEAKER.to_owned(), weaker(&rights.weaker));
    Ok(ContainerCreateBody {
        image: Some(image(spec)?.text.to_owned()),
        entrypoint: spec.container.entrypoint.clone().map(|program| vec![program]),
        working_dir: options::working_dir(spec.working_dir.as_deref())?,
        cmd: (!spec.args.is_empty()).then(|| spec.args.clone()),
        env: Some(env),
        user: spec.user.as_deref().map(user).transpose()?,
        labels: Some(labels),
        exposed_ports: published.clone().map(|port| vec![port]),
        tty: Some(false),
        open_stdin: Some(is_stdio),
        // In both engines, the end of the attached stream ends the container's stdin. A container that is started again has
        // a new stdin.
        stdin_once: Some(is_stdio),
        attach_stdin: Some(is_stdio),
        attach_stdout: Some(is_stdio),
        attach_stderr: Some(false),
        host_config: Some(host_config(flavor, spec, published, &rights, private)?),
        ..ContainerCreateBody::default()
    })
}

/// The label with the measures that were left out. It is set even if empty: otherwise the image's own label of this name
/// would show.
pub(crate) fn weaker(measures: &[Measure]) -> String {
    if measures.is_empty() { String::new() } else { serde_json::to_string(measures).unwrap_or_default() }
}

fn host_config(
    flavor: Flavor,
    spec: &WorkloadSpec,
    published: Option<String>,
    rights: &Rights,
    private: &[PathBuf],
) -> Result<HostConfig> {
    // An empty port lets the engine choose a free one of this machine.
    let binding = || PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(String::new()) };
    let memory = limits::memory(spec)?;
    let mounts = mounts::of(spec, private)?;
    let held_back = !rights.privileged;
    let has_port = published.is_some();
    let cap_add = options::cap_add(&spec.container)?;
    // Podman refuses to add all and to drop all at once. Docker takes both, and adds all.
    let adds_all =
        flavor == Flavor::Podman && cap_add.iter().flatten().any(|capability| capability == options::ALL);
    let mut tmpfs = options::tmpfs(&spec.container)?;
    if rights.read_only && !mounts.has("/tmp") {
        tmpfs.entry("/tmp".to_owned()).or_insert_with(|| TMP_OPTIONS.to_owned());
    }
    let network = match (options::network(&spec.container, has_port)?, rights.network) {
        (Some(asked), Some(granted)) if asked != granted => {
            return Err(Error::invalid(format!(
                "the network '{asked}' contradicts the permission profile, which grants '{granted}'; give one of both"
            )));
        }
        (asked, granted) => asked.or(granted.map(str::to_owned)),
    };
    Ok(HostConfig {
        port_bindings: published.map(|port| HashMap::from([(port, Some(vec![binding()]))])),
        mounts: Some(mounts.mounts),
        binds: (!mounts.labelled.is_empty()).then_some(mounts.labelled),
        network_mode: network,
        extra_hosts: options::add_hosts(&spec.container)?,
        readonly_rootfs: Some(rights.read_only),
        tmpfs: (!tmpfs.is_empty()).then_some(tmpfs),
        shm_size: options::shm_size(&spec.container)?,
        privileged: rights.privileged.then_some(true),
        nano_cpus: spec.cpus.map(limits::nano_cpus).transpose()?,
        memory,
        // The same as the memory limit: then there is no swap beside it.
        memory_swap: memory,
        cap_drop: (held_back && !adds_all).then(|| vec![options::ALL.to_owned()]),
        cap_add,
        security_opt: held_back.then(|| vec!["no-new-privileges".to_owned()]),
        pids_limit: Some(limits::pids(spec)?),
        ulimits: limits::ulimits(flavor, &spec.container)?,
        // Without an init, the server is the first process of the container: it would ignore signals that it does not
        // handle, and reap no orphaned processes. Docker always brings one; Podman's comes in a package of its own, and where that is
        // missing, the container is made without.
        init: Some(!spec.container.no_init),
        log_config: Some(limits::bounded_log(flavor)),
        // wharf's supervisor restarts the container, not the engine.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        ..HostConfig::default()
    })
}

fn user(given: &str) -> Result<String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '$');
    if given.is_empty() || !given.chars().all(fine) {
        let given = given.escape_default();
        return Err(Error::invalid(format!(
            "'{given}' is no user; write NAME or NUMBER, with :GROUP if wanted"
        )));
    }
    Ok(given.to_owned())
}

fn variable(name: &str, value: &str) -> Result<String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Error::invalid(format!("'{}' cannot be the name of a variable", name.escape_default())));
    }
    if value.contains('\0') {
        return Err(Error::invalid(format!("the value of the variable '{name}' contains a NUL character")));
    }
    Ok(format!("{name}={value}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use wharf_sdk::ErrorCode;

    #[expect(clippy::needless_pass_by_value, reason = "a call with json!(…) reads better")]
    pub(crate) fn spec(more: serde_json::Value) -> WorkloadSpec {
        let mut spec = serde_json::json!({
            "uid": "0123456789abcdef0123456789abcdef", "name": "time", "host_id": "host",
            "source": { "kind": "image", "reference": "time:1" }, "transport": { "kind": "stdio" },
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    fn asked(more: serde_json::Value) -> serde_json::Value {
        serde_json::to_value(body(Flavor::Podman, &spec(more), &[]).unwrap()).unwrap()
    }

    #[test]
    fn a_container_carries_its_owner_and_no_more_rights_than_it_needs() {
        let asked = asked(serde_json::json!({ "labels": { "team": "web" } }));
        assert_eq!(asked["Labels"]["wharf.uid"], "0123456789abcdef0123456789abcdef");
        assert_eq!(asked["Labels"]["wharf.host-id"], "host");
        assert_eq!(asked["Labels"]["team"], "web");
        assert_eq!(asked["Labels"]["wharf.target-port"], "", "the image's own does not count");
        let host = &asked["HostConfig"];
        assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]));
        assert_eq!(host["SecurityOpt"], serde_json::json!(["no-new-privileges"]));
        assert_eq!(host["PidsLimit"], 512);
        assert_eq!(host["RestartPolicy"]["Name"], "no");
        assert!(host.get("Privileged").is_none());
        assert_eq!(name(&spec(serde_json::json!({}))), "time-01234567");
    }

    #[test]
    fn stdin_is_open_until_who_is_attached_closes_it() {
        let asked = asked(serde_json::json!({}));
        assert_eq!(
            (&asked["OpenStdin"], &asked["StdinOnce"], &asked["Tty"]),
            (&true.into(), &true.into(), &false.into())
        );
        assert!(asked["HostConfig"].get("PortBindings").is_none());
    }

    #[test]
    fn a_port_is_published_on_this_machine_alone() {
        let asked = asked(serde_json::json!({ "transport": { "kind": "http", "target_port": 8080 } }));
        let bindings = serde_json::json!({ "8080/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "" }] });
        assert_eq!(asked["HostConfig"]["PortBindings"], bindings);
        assert_eq!(asked["OpenStdin"], false);
    }

    #[test]
    fn limits_and_mounts_are_passed_on() {
        let asked = asked(serde_json::json!({
            "cpus": 0.5, "memory_bytes": 64 << 20, "mounts": ["/a:/b:ro", "/c:/d"],
        }));
        let host = &asked["HostConfig"];
        assert_eq!(host["NanoCpus"], 500_000_000);
        assert_eq!(self::asked(serde_json::json!({ "cpus": 1e-12 }))["HostConfig"]["NanoCpus"], 1);
        assert_eq!((&host["Memory"], &host["MemorySwap"]), (&(64 << 20).into(), &(64 << 20).into()));
        assert_eq!(
            host["Mounts"][0],
            serde_json::json!({ "Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true })
        );
        assert_eq!(host["Mounts"][1]["ReadOnly"], false);
    }

    #[test]
    fn options_of_docker_run_are_passed_on() {
        let asked = asked(serde_json::json!({
            "working_dir": "/srv", "mounts": ["data:/data", "/a:/b:ro,z"],
            "container": { "cap_add": ["SETUID"], "entrypoint": "/bin/sh", "no_init": true, "network": "back",
                "add_hosts": ["db:10.0.0.1"], "shm_size_bytes": 4096, "tmpfs": ["/run:size=1m"] },
        }));
        let host = &asked["HostConfig"];
        assert_eq!((&asked["WorkingDir"], &asked["Entrypoint"][0]), (&"/srv".into(), &"/bin/sh".into()));
        let volume =
            serde_json::json!({ "Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": false });
        assert_eq!(host["Mounts"], serde_json::json!([volume]));
        assert_eq!(host["Binds"], serde_json::json!(["/a:/b:ro,z"]));
        assert_eq!((&host["CapAdd"][0], &host["CapDrop"][0]), (&"SETUID".into(), &"ALL".into()));
        assert_eq!((&host["Init"], &host["NetworkMode"]), (&false.into(), &"back".into()));
        assert_eq!((&host["ExtraHosts"][0], &host["ShmSize"]), (&"db:10.0.0.1".into(), &4096.into()));
        assert_eq!(host["Tmpfs"]["/run"], "size=1m");
    }

    #[test]
    fn podman_is_not_told_to_drop_and_to_add_all_capabilities() {
        let dropped = |flavor, name: &str| {
            let spec = spec(serde_json::json!({ "container": { "cap_add": [name] } }));
            body(flavor, &spec, &[]).unwrap().host_config.unwrap().cap_drop
        };
        assert_eq!(dropped(Flavor::Podman, "all"), None);
        assert_eq!(dropped(Flavor::Docker, "all"), Some(vec!["ALL".to_owned()]));
        assert_eq!(dropped(Flavor::Podman, "SETUID"), Some(vec!["ALL".to_owned()]));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let cases = [
            (serde_json::json!({ "labels": { "wharf.uid": "mine" } }), "wharf.uid"),
            (serde_json::json!({ "mounts": ["/a"] }), "/a"),
            (serde_json::json!({ "mounts": ["a/c:/b"] }), "./a/c"),
            (serde_json::json!({ "mounts": ["a:/b"] }), "at least two"),
            (
                serde_json::json!({ "container": { "network": "none" },
                "permission_profile": { "network": { "mode": "bridge", "outbound": { "insecure_allow_all": true } } } }),
                "contradicts",
            ),
            (serde_json::json!({ "mounts": ["/a:/b:x"] }), "option"),
            (serde_json::json!({ "cpus": 0.0 }), "processors"),
            (serde_json::json!({ "memory_bytes": 0 }), "memory_bytes"),
            (serde_json::json!({ "pids_limit": 0 }), "pids_limit"),
            (serde_json::json!({ "env": { "A=B": "" } }), "A=B"),
            (serde_json::json!({ "user": "a b" }), "a b"),
            (serde_json::json!({ "source": { "kind": "image", "reference": "Time" } }), "lowercase"),
            (serde_json::json!({ "permission_profile": { "read": ["a"] } }), "permission_profile.read"),
            (serde_json::json!({ "transport": { "kind": "http", "target_port": 0 } }), "port"),
            (serde_json::json!({ "container": { "platform": "linux/" } }), "such as linux/arm64"),
        ];
        for (more, named) in cases {
            let error = body(Flavor::Docker, &spec(more), &[]).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument);
            assert!(error.message.contains(named), "{error}");
        }
        let command = serde_json::json!({ "source": { "kind": "command", "program": "sh" } });
        assert_eq!(body(Flavor::Docker, &spec(command), &[]).unwrap_err().code, ErrorCode::Unsupported);
    }
}
