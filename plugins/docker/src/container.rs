//! From a specification to a container: what is asked for, hardened, and nothing else.
use crate::{engine::Flavor, labels};
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, PortBinding, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};
use std::{collections::HashMap, path::Path};
use wharf_sdk::{Error, Result, Source, Transport, WorkloadSpec};

/// So many processes and threads where nothing is said: a fork bomb ends here, a server with a thread pool does not.
const PIDS_LIMIT: u64 = 512;
/// Open files.
const NOFILE: (&str, i64) = ("nofile", 1024);
/// Processes of the user, on the whole machine. Podman asks the kernel for more than a user of few rights may have unless
/// it is told: the defaults of its configuration are for its own clients only.
const NPROC: (&str, i64) = ("nproc", 1024);
/// How much of a container's output Docker keeps.
const LOG_FILES: [(&str, &str); 2] = [("max-size", "10m"), ("max-file", "3")];
/// How much of the uid is in a container's name; its labels have all of it.
const UID_PART: usize = 8;

/// The image, if it is one.
pub(crate) fn image(spec: &WorkloadSpec) -> Result<&str> {
    match &spec.source {
        Source::Image { reference } => Ok(reference),
        other => Err(Error::unsupported(
            "source",
            format!("containers are made of images, not of a {}", other.kind()),
        )),
    }
}

/// The container's name: for people; nothing is found by it.
pub(crate) fn name(spec: &WorkloadSpec) -> String {
    let part = spec.uid.get(..UID_PART).unwrap_or(&spec.uid);
    format!("{}-{part}", spec.name)
}

/// The port inside the container; none: it speaks over stdin and stdout.
pub(crate) const fn target_port(spec: &WorkloadSpec) -> Option<u16> {
    match spec.transport {
        Transport::Stdio => None,
        Transport::Http { target_port } => Some(target_port),
    }
}

/// What the engine is asked to make.
pub(crate) fn body(flavor: Flavor, spec: &WorkloadSpec) -> Result<ContainerCreateBody> {
    labels::check(&spec.labels)?;
    let port = target_port(spec);
    if port == Some(0) {
        return Err(Error::invalid("the target port must not be 0"));
    }
    if spec.permission_profile.is_some() {
        return Err(Error::unsupported(
            "permission_profile",
            "permission profiles are not enforced by this runtime",
        ));
    }
    if spec.working_dir.is_some() {
        return Err(Error::unsupported("working_dir", "a container runs in no directory of the host"));
    }
    let env = spec.env.iter().map(|(name, value)| variable(name, value)).collect::<Result<_>>()?;
    let published = port.map(|port| format!("{port}/tcp"));
    let is_stdio = port.is_none();
    Ok(ContainerCreateBody {
        image: Some(image(spec)?.to_owned()),
        cmd: (!spec.args.is_empty()).then(|| spec.args.clone()),
        env: Some(env),
        labels: Some(labels::of(spec, port)),
        exposed_ports: published.clone().map(|port| vec![port]),
        tty: Some(false),
        open_stdin: Some(is_stdio),
        // The container's stdin stays open when whoever is attached goes away.
        stdin_once: Some(false),
        attach_stdin: Some(is_stdio),
        attach_stdout: Some(is_stdio),
        attach_stderr: Some(false),
        host_config: Some(host_config(flavor, spec, published)?),
        ..ContainerCreateBody::default()
    })
}

fn host_config(flavor: Flavor, spec: &WorkloadSpec, published: Option<String>) -> Result<HostConfig> {
    // No port of the host: the engine chooses one.
    let binding = || PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(String::new()) };
    let memory = spec.memory_bytes.map(|bytes| limit("memory_bytes", bytes)).transpose()?;
    Ok(HostConfig {
        port_bindings: published.map(|port| HashMap::from([(port, Some(vec![binding()]))])),
        mounts: Some(spec.mounts.iter().map(|text| mount(text)).collect::<Result<_>>()?),
        nano_cpus: spec.cpus.map(nano_cpus).transpose()?,
        memory,
        // As much as the memory: no swap beside it.
        memory_swap: memory,
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        pids_limit: Some(limit("pids_limit", spec.pids_limit.unwrap_or(PIDS_LIMIT))?),
        ulimits: Some(ulimits(flavor)),
        // The first process of a container ignores signals that it does not handle, and reaps nobody. Every package of
        // Docker has this one; Podman's is a package of its own.
        init: (flavor == Flavor::Docker).then_some(true),
        log_config: (flavor == Flavor::Docker).then(bounded_log),
        // The supervisor restarts.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        ..HostConfig::default()
    })
}

fn ulimits(flavor: Flavor) -> Vec<ResourcesUlimits> {
    let ulimit = |(name, limit): (&str, i64)| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(limit),
        hard: Some(limit),
    };
    let nproc = (flavor == Flavor::Podman).then_some(NPROC);
    std::iter::once(NOFILE).chain(nproc).map(ulimit).collect()
}

/// Docker keeps everything unless it is told not to.
fn bounded_log() -> HostConfigLogConfig {
    let options = LOG_FILES.map(|(name, value)| (name.to_owned(), value.to_owned()));
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(HashMap::from(options)) }
}

/// A limit as engines take it, to whom 0 is none.
fn limit(name: &str, limit: u64) -> Result<i64> {
    if limit == 0 {
        return Err(Error::invalid(format!("{name} must not be 0; leave it out for the default")));
    }
    Ok(i64::try_from(limit).unwrap_or(i64::MAX))
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

#[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
fn nano_cpus(cpus: f64) -> Result<i64> {
    const MOST: f64 = 100_000.0;
    if cpus > 0.0 && cpus <= MOST {
        // 0 is no limit.
        return Ok(((cpus * 1e9) as i64).max(1));
    }
    Err(Error::invalid(format!("{cpus} is no number of processors")))
}

/// `host:workload[:ro]`. A mount, and not a bind of Docker's old form, which makes folders that are missing.
fn mount(text: &str) -> Result<Mount> {
    let wrong = |why: &str| {
        Error::invalid(format!("the mount '{text}' {why}; write HOST:WORKLOAD or HOST:WORKLOAD:ro"))
    };
    let mut parts = text.split(':');
    let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
        return Err(wrong("has no place in the workload"));
    };
    let read_only = match parts.next() {
        None | Some("rw") => false,
        Some("ro") => true,
        Some(_) => return Err(wrong("has an option that is not known")),
    };
    if parts.next().is_some() || !Path::new(source).is_absolute() || !Path::new(target).is_absolute() {
        return Err(wrong("is not made of absolute paths"));
    }
    Ok(Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_owned()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_sdk::ErrorCode;

    #[expect(clippy::needless_pass_by_value, reason = "a call with json!(…) reads better")]
    fn spec(more: serde_json::Value) -> WorkloadSpec {
        let mut spec = serde_json::json!({
            "uid": "0123456789abcdef0123456789abcdef", "name": "time", "host_id": "host",
            "source": { "kind": "image", "reference": "time:1" }, "transport": { "kind": "stdio" },
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    fn asked(more: serde_json::Value) -> serde_json::Value {
        serde_json::to_value(body(Flavor::Podman, &spec(more)).unwrap()).unwrap()
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
    fn stdin_is_open_and_stays_so() {
        let asked = asked(serde_json::json!({}));
        assert_eq!(
            (&asked["OpenStdin"], &asked["StdinOnce"], &asked["Tty"]),
            (&true.into(), &false.into(), &false.into())
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
    fn what_makes_no_sense_is_refused() {
        let cases = [
            (serde_json::json!({ "labels": { "wharf.uid": "mine" } }), "wharf.uid"),
            (serde_json::json!({ "mounts": ["/a"] }), "/a"),
            (serde_json::json!({ "mounts": ["a:/b"] }), "absolute"),
            (serde_json::json!({ "mounts": ["/a:/b:x"] }), "option"),
            (serde_json::json!({ "cpus": 0.0 }), "processors"),
            (serde_json::json!({ "memory_bytes": 0 }), "memory_bytes"),
            (serde_json::json!({ "pids_limit": 0 }), "pids_limit"),
            (serde_json::json!({ "env": { "A=B": "" } }), "A=B"),
            (serde_json::json!({ "transport": { "kind": "http", "target_port": 0 } }), "port"),
        ];
        for (more, named) in cases {
            let error = body(Flavor::Docker, &spec(more)).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument);
            assert!(error.message.contains(named), "{error}");
        }
        let command = serde_json::json!({ "source": { "kind": "command", "program": "sh" } });
        assert_eq!(body(Flavor::Docker, &spec(command)).unwrap_err().code, ErrorCode::Unsupported);
    }
}
