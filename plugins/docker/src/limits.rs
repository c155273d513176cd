//! The limits of containers: those that the user asked for, the defaults, and those that an engine left out.
use crate::flavor::Flavor;
use bollard::models::{HostConfigLogConfig, ResourcesUlimits};
use std::collections::HashMap;
use wharf_sdk::{Error, Measure, Result, WorkloadSpec};

/// The default limit of processes and threads: it stops a fork bomb, and leaves room for a server with a thread pool.
const PIDS_LIMIT: u64 = 512;
/// The limit of open files.
const NOFILE: (&str, i64) = ("nofile", 1024);
/// The limit of the user's processes on the whole machine. It must be given: without it, Podman's service asks the kernel
/// for more than an unprivileged user may have. (The defaults in Podman's configuration hold only for its own command
/// line.)
const NPROC: (&str, i64) = ("nproc", 1024);
/// The limit of the output that Docker keeps of a container.
const LOG_FILES: [(&str, &str); 2] = [("max-size", "10m"), ("max-file", "3")];
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

/// The limits that the kernel keeps for each process.
pub(crate) fn ulimits(flavor: Flavor) -> Vec<ResourcesUlimits> {
    let ulimit = |(name, limit): (&str, i64)| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(limit),
        hard: Some(limit),
    };
    let nproc = (flavor == Flavor::Podman).then_some(NPROC);
    std::iter::once(NOFILE).chain(nproc).map(ulimit).collect()
}

/// Bounds the log: by default, Docker keeps everything.
pub(crate) fn bounded_log() -> HostConfigLogConfig {
    let options = LOG_FILES.map(|(name, value)| (name.to_owned(), value.to_owned()));
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(HashMap::from(options)) }
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
    fn what_an_engine_leaves_out_is_told_where_it_was_asked_for() {
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
