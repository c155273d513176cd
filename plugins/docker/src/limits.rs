//! The limits of containers: those that the user asked for, the defaults, and those that an engine left out.
use crate::{flavor::Flavor, options};
use bollard::models::{HostConfig, HostConfigLogConfig, ResourcesUlimits};
use wharf_sdk::{ContainerOptions, Error, Measure, Result, WorkloadSpec};

/// The default limit of processes and threads: it stops a fork bomb, and leaves room for a server with a thread pool.
const PIDS_LIMIT: u64 = 512;
/// The limit of open files, where the engine must be told one. More than an ordinary server needs, and no more than a user
/// without rights may have anywhere.
const NOFILE: (&str, i64) = ("nofile", 4096);
/// The limit of the user's processes on the whole machine. It must be given: without it, Podman's service asks the kernel
/// for more than an unprivileged user may have. (The defaults in Podman's configuration hold only for its own command
/// line.)
const NPROC: (&str, i64) = ("nproc", 1024);
/// The limit of the output that Docker keeps of a container.
const LOG_FILES: [(&str, &str); 2] = [("max-size", "10m"), ("max-file", "3")];
/// The same for Podman, which has one file, and begins it anew when it is full.
const LOG_FILE: [(&str, &str); 1] = [("max-size", "30m")];
/// The limits that earlier versions gave every container, without being asked.
const EARLIER: [(&str, i64); 2] = [("nofile", 1024), NPROC];
/// Podman's log in one file, which is bounded and can be read from its end.
const K8S_FILE: &str = "k8s-file";
/// A word in an engine's warning about a limit that it leaves out.
const DISCARDED: &str = "discarded";

/// The limit of memory.
pub(crate) fn memory(spec: &WorkloadSpec) -> Result<Option<i64>> {
    spec.memory_bytes.map(|bytes| limit("memory_bytes", bytes)).transpose()
}

/// The limit of processes and threads.
pub(crate) fn pids(spec: &WorkloadSpec) -> Result<i64> {
    limit("pids_limit", spec.pids_limit.unwrap_or(PIDS_LIMIT))
}

/// The limit of processors.
#[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
pub(crate) fn nano_cpus(cpus: f64) -> Result<i64> {
    const MOST: f64 = 100_000.0;
    if cpus > 0.0 && cpus <= MOST {
        // At least 1, since 0 would mean no limit.
        return Ok(((cpus * 1e9) as i64).max(1));
    }
    Err(Error::invalid(format!("{cpus} is no number of processors")))
}

/// A limit in the form that engines take. 0 is refused, since they take it for no limit.
fn limit(name: &str, limit: u64) -> Result<i64> {
    if limit == 0 {
        return Err(Error::invalid(format!("{name} must not be 0; leave it out for the default")));
    }
    Ok(i64::try_from(limit).unwrap_or(i64::MAX))
}

/// The limits that the kernel keeps for each process: those that were asked for, and the engine's own for all others.
/// Podman's service has none, so it is told some.
pub(crate) fn ulimits(flavor: Flavor, options: &ContainerOptions) -> Result<Option<Vec<ResourcesUlimits>>> {
    let mut all = options::ulimits(options)?;
    if flavor == Flavor::Podman {
        let needed = [NOFILE, NPROC].into_iter().filter(|(name, _)| !options.ulimits.contains_key(*name));
        all.extend(needed.map(ulimit));
    }
    Ok((!all.is_empty()).then_some(all))
}

fn ulimit((name, limit): (&str, i64)) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(limit), hard: Some(limit) }
}

/// Bounds the log: by default, engines keep everything.
pub(crate) fn bounded_log(flavor: Flavor) -> HostConfigLogConfig {
    let (driver, options) = match flavor {
        Flavor::Docker => ("json-file", &LOG_FILES[..]),
        Flavor::Podman => (K8S_FILE, &LOG_FILE[..]),
    };
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    HostConfigLogConfig { typ: Some(driver.to_owned()), config: Some(options.collect()) }
}

/// The settings as earlier versions made them, where the user asked for no others. A container that such a version made is
/// the same by these, and is kept with all that it wrote.
pub(crate) fn as_earlier(host: &mut HostConfig, flavor: Flavor, options: &ContainerOptions) {
    if options.ulimits.is_empty() {
        let count = if flavor == Flavor::Podman { 2 } else { 1 };
        host.ulimits = Some(EARLIER.into_iter().take(count).map(ulimit).collect());
    }
    host.log_config = host.log_config.take().filter(|_| flavor == Flavor::Docker);
}

/// The limits that the user asked for and that the engine left out, by its warnings: it makes the container even if the
/// kernel cannot enforce a limit.
pub(crate) fn left_out(warnings: &[String], spec: &WorkloadSpec) -> Vec<Measure> {
    let asked = [
        ("memory_bytes", "memory", spec.memory_bytes.is_some()),
        ("cpus", "cpu", spec.cpus.is_some()),
        ("pids_limit", "pids", spec.pids_limit.is_some()),
    ];
    let mut measures = Vec::new();
    for warning in warnings {
        let lower = warning.to_ascii_lowercase();
        if !lower.contains(DISCARDED) {
            continue;
        }
        let of = asked.iter().filter(|(_, word, is_asked)| *is_asked && lower.contains(word));
        measures.extend(of.map(|(field, ..)| Measure { what: (*field).to_owned(), how: warning.clone() }));
    }
    measures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_was_asked_for_takes_the_place_of_the_default() {
        let options = serde_json::from_str(r#"{"ulimits":{"nofile":{"soft":9,"hard":10}}}"#).unwrap();
        let all = |flavor, options: &ContainerOptions| {
            let all = ulimits(flavor, options).unwrap().unwrap_or_default();
            all.into_iter().map(|it| (it.name.unwrap(), it.soft.unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(all(Flavor::Docker, &options), [("nofile".to_owned(), 9)]);
        assert_eq!(all(Flavor::Podman, &options), [("nofile".to_owned(), 9), ("nproc".to_owned(), 1024)]);
        assert_eq!(all(Flavor::Docker, &ContainerOptions::default()), []);
        assert_eq!(all(Flavor::Podman, &ContainerOptions::default())[0], ("nofile".to_owned(), 4096));
    }

    #[test]
    fn a_requested_limit_that_the_engine_left_out_is_reported() {
        let spec = crate::container::tests::spec(serde_json::json!({ "memory_bytes": 1 << 20 }));
        let warnings = [
            "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
            "Your kernel does not support swap limit capabilities. Memory limited without swap.",
            "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
        ]
        .map(str::to_owned);
        let what: Vec<String> = left_out(&warnings, &spec).into_iter().map(|measure| measure.what).collect();
        assert_eq!(what, ["memory_bytes"]);
    }
}
