//! Permission profiles of pods. A part of a profile that cannot be enforced on pods is refused by name; if the
//! specification allows that, it is left out and reported.
use crate::settings::Settings;
use k8s_openapi::jiff::Timestamp;
use wharf_sdk::{Error, Measure, Outbound, PermissionProfile, Result, WorkloadSpec};

/// The place in errors about parts of a profile that cannot be enforced.
const PLACE: &str = "on a pod";
/// Why a network cannot be closed where nobody knows better.
const UNKNOWN: &str = "nothing says that this cluster enforces NetworkPolicies; let 'wharf runtime check kubernetes \
     --probe-network' try it out, or set runtimes.kubernetes.network_policies in config.json where it does";

/// The rights of a pod.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Rights {
    /// The targets that it may connect to; none: all of them.
    pub(crate) egress: Option<Egress>,
    /// The files of its image are read-only.
    pub(crate) read_only: bool,
    /// It is not confined.
    pub(crate) privileged: bool,
    /// The parts of the profile that are left out.
    pub(crate) weaker: Vec<Measure>,
}

/// The targets that a pod may connect to, in the terms of a NetworkPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Egress {
    /// These ports of every host; empty: nothing at all.
    pub(crate) ports: Vec<u16>,
}

/// Whether the cluster is known to enforce NetworkPolicies, by the user's word or by a trial; else why it is not.
pub(crate) fn enforcement(spec: &WorkloadSpec, settings: &Settings) -> std::result::Result<(), String> {
    match &spec.network_verdict {
        _ if settings.network_policies => Ok(()),
        Some(verdict) if verdict.enforced => Ok(()),
        Some(verdict) => {
            let at = i64::try_from(verdict.at_ms).ok().and_then(|ms| Timestamp::from_second(ms / 1000).ok());
            Err(format!(
                "this cluster does not enforce NetworkPolicies, as was tried at {} ({})",
                at.unwrap_or_default(),
                verdict.how
            ))
        }
        None => Err(UNKNOWN.to_owned()),
    }
}

/// The rights of a workload in a cluster that is known to enforce NetworkPolicies, or is not.
pub(crate) fn rights(spec: &WorkloadSpec, enforcement: &std::result::Result<(), String>) -> Result<Rights> {
    let Some(profile) = &spec.permission_profile else { return Ok(Rights::default()) };
    let mut weaker = Vec::new();
    for (field, list) in [("read", &profile.read), ("write", &profile.write)] {
        if !list.is_empty() {
            let field = format!("permission_profile.{field}");
            let why = "a pod has no files of this machine; name a claim with --volume CLAIM:PATH";
            spec.leave_out(&field, PLACE, why, &mut weaker)?;
        }
    }
    let egress = egress(spec, profile, enforcement, &mut weaker)?;
    if profile.limits_inbound() {
        let why = "a NetworkPolicy knows addresses of networks, not names of hosts";
        spec.leave_out("permission_profile.network.inbound.allow_host", PLACE, why, &mut weaker)?;
    }
    if profile.privileged {
        let how = "the profile says privileged: whatever the node may".to_owned();
        weaker.push(Measure { what: "files, privileges".to_owned(), how });
    }
    let (privileged, read_only) = (profile.privileged, !profile.privileged);
    Ok(Rights { egress, read_only, privileged, weaker })
}

fn egress(
    spec: &WorkloadSpec,
    profile: &PermissionProfile,
    enforcement: &std::result::Result<(), String>,
    weaker: &mut Vec<Measure>,
) -> Result<Option<Egress>> {
    const NETWORK: &str = "permission_profile.network";
    let mode = profile.network.as_ref().map_or("", |network| network.mode.as_str());
    if !matches!(mode, "" | "none" | "bridge" | "default") {
        let field = "permission_profile.network.mode";
        let why = "a pod is on its cluster's network, and wharf gives it no other";
        return Err(Error::unenforceable(field, PLACE, why));
    }
    let egress = match profile.outbound() {
        Outbound::Everywhere => return Ok(None),
        Outbound::Nowhere => Egress { ports: Vec::new() },
        Outbound::Listed { hosts, ports } => {
            if !hosts.is_empty() {
                let why = "a NetworkPolicy knows addresses of networks, not names of hosts";
                spec.leave_out("permission_profile.network.outbound.allow_host", PLACE, why, weaker)?;
            }
            if ports.is_empty() {
                return Ok(None);
            }
            Egress { ports: ports.to_vec() }
        }
    };
    if let Err(why) = enforcement {
        spec.leave_out(NETWORK, PLACE, why, weaker)?;
    }
    Ok(Some(egress))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::spec;

    fn assessed(profile: &str, allow_weaker: bool, enforces: bool) -> Result<Rights> {
        let profile: serde_json::Value = serde_json::from_str(profile).unwrap();
        let profile = serde_json::json!({ "permission_profile": profile, "allow_weaker": allow_weaker });
        let settings = Settings { network_policies: enforces, ..Settings::default() };
        let spec = spec(profile);
        rights(&spec, &enforcement(&spec, &settings))
    }

    #[test]
    fn a_trial_tells_whether_a_network_can_be_closed_and_the_users_word_comes_first() {
        let judged = |enforced: bool, settings: &Settings| {
            let verdict = serde_json::json!({ "instance": "c0/a", "enforced": enforced, "at_ms": 1_790_000_000_000_u64,
                "how": "one pod reaches another one" });
            let spec = spec(serde_json::json!({ "permission_profile": {}, "network_verdict": verdict }));
            rights(&spec, &enforcement(&spec, settings))
        };
        let silent = Settings::default();
        assert_eq!(judged(true, &silent).unwrap().weaker, []);
        let refused = judged(false, &silent).unwrap_err();
        assert_eq!(refused.details.unwrap()["field"], "permission_profile.network");
        assert!(
            refused.message.contains("as was tried at 2026-09-21")
                && refused.message.contains("one pod reaches"),
            "{}",
            refused.message
        );
        let told = Settings { network_policies: true, ..Settings::default() };
        assert_eq!(judged(false, &told).unwrap().weaker, []);
    }

    #[test]
    fn a_network_is_closed_only_where_the_cluster_is_known_to_do_it() {
        let refused = assessed("{}", false, false).unwrap_err();
        assert_eq!(refused.details.unwrap()["field"], "permission_profile.network");
        assert!(refused.message.contains("network_policies"), "{}", refused.message);
        let closed = Some(Egress { ports: Vec::new() });
        let weaker = assessed("{}", true, false).unwrap();
        assert_eq!((weaker.egress.clone(), weaker.weaker.len()), (closed.clone(), 1));
        let enforced = assessed("{}", false, true).unwrap();
        assert_eq!((enforced.egress, enforced.weaker.len(), enforced.read_only), (closed, 0, true));
        let ports = r#"{"network":{"outbound":{"allow_port":[443]}}}"#;
        assert_eq!(assessed(ports, false, true).unwrap().egress, Some(Egress { ports: vec![443] }));
        let all = r#"{"network":{"outbound":{"insecure_allow_all":true}}}"#;
        assert_eq!(assessed(all, false, false).unwrap().egress, None);
    }

    #[test]
    fn what_cannot_be_enforced_is_refused_by_name() {
        for (profile, field) in [
            (r#"{"read":["/etc"]}"#, "permission_profile.read"),
            (r#"{"write":["/srv"]}"#, "permission_profile.write"),
            (r#"{"network":{"mode":"host"}}"#, "permission_profile.network.mode"),
            (
                r#"{"network":{"outbound":{"allow_host":["a"]}}}"#,
                "permission_profile.network.outbound.allow_host",
            ),
        ] {
            let refused = assessed(profile, false, true).unwrap_err();
            assert_eq!(refused.details.unwrap()["field"], field, "{profile}");
        }
    }
}
