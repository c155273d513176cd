//! The limits of pods, and the resources that they request from a node.
use serde_json::{Value, json};
use wharf_sdk::{Error, Result, WorkloadSpec};

/// The most that is requested of a processor: a limit is for the worst moment, and a node that had to keep that free at all
/// times would run few servers.
const MOST_REQUESTED_MILLIS: u64 = 100;
/// The highest number of processors.
const MOST_CPUS: f64 = 100_000.0;

/// The resources of the container, as the cluster's API has them.
pub(crate) fn of(spec: &WorkloadSpec) -> Result<Value> {
    let (mut limits, mut requests) = (json!({}), json!({}));
    if let Some(bytes) = spec.memory_bytes {
        if bytes == 0 {
            return Err(Error::invalid("memory_bytes must not be 0; leave it out for the default"));
        }
        limits["memory"] = bytes.to_string().into();
        // Memory cannot be taken back from a process, so a node must have all that the limit allows.
        requests["memory"] = limits["memory"].clone();
    }
    if let Some(cpus) = spec.cpus {
        let millis = millis(cpus)?;
        limits["cpu"] = format!("{millis}m").into();
        requests["cpu"] = format!("{}m", millis.min(MOST_REQUESTED_MILLIS)).into();
    }
    Ok(json!({ "limits": limits, "requests": requests }))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
fn millis(cpus: f64) -> Result<u64> {
    if cpus > 0.0 && cpus <= MOST_CPUS {
        // At least 1, since 0 would mean no limit.
        return Ok(((cpus * 1e3).round() as u64).max(1));
    }
    Err(Error::invalid(format!("{cpus} is no number of processors")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::spec;

    #[test]
    fn a_pod_requests_resources_beside_its_limits() {
        let of = |spec: Value| super::of(&crate::manifest::tests::spec(spec)).unwrap();
        assert_eq!(of(json!({})), json!({ "limits": {}, "requests": {} }));
        assert_eq!(
            of(json!({ "memory_bytes": 1024, "cpus": 1.5 })),
            json!({ "limits": { "memory": "1024", "cpu": "1500m" }, "requests": { "memory": "1024", "cpu": "100m" } })
        );
        assert_eq!(of(json!({ "cpus": 0.05 }))["requests"]["cpu"], "50m");
        assert!(super::of(&spec(json!({ "cpus": 0.0 }))).is_err());
        assert!(super::of(&spec(json!({ "memory_bytes": 0 }))).is_err());
    }
}
