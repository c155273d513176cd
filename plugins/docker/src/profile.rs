//! Permission profiles of containers. A part that cannot be enforced for a container is refused by name, or left out and
//! reported where the specification allows that.
use crate::port::target_port;
use wharf_sdk::{Error, Measure, Outbound, PermissionProfile, Result, WorkloadSpec};

/// The place in errors about parts of a profile that cannot be enforced.
const PLACE: &str = "on a container";

/// The rights of a container.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Rights {
    /// The network's name; none: the engine's usual one.
    pub(crate) network: Option<&'static str>,
    /// The files of its image are read-only.
    pub(crate) read_only: bool,
    /// No confinement at all.
    pub(crate) privileged: bool,
    /// The parts that were asked for and are left out.
    pub(crate) weaker: Vec<Measure>,
}

/// The rights of a workload.
pub(crate) fn rights(spec: &WorkloadSpec) -> Result<Rights> {
    let Some(profile) = &spec.permission_profile else { return Ok(Rights::default()) };
    let mut weaker = Vec::new();
    let network = network(spec, profile, &mut weaker)?;
    if profile.limits_inbound() {
        let why = "its port is published on this machine alone, to whoever is there";
        spec.leave_out("permission_profile.network.inbound.allow_host", PLACE, why, &mut weaker)?;
    }
    if profile.privileged {
        let how = "the profile says privileged: whatever the engine may".to_owned();
        weaker.push(Measure { what: "files, privileges".to_owned(), how });
    }
    let (privileged, read_only) = (profile.privileged, !profile.privileged);
    Ok(Rights { network, read_only, privileged, weaker })
}

fn network(
    spec: &WorkloadSpec,
    profile: &PermissionProfile,
    weaker: &mut Vec<Measure>,
) -> Result<Option<&'static str>> {
    const MODE: &str = "permission_profile.network.mode";
    let has_port = target_port(spec).is_some();
    let mode = profile.network.as_ref().map_or("", |network| network.mode.as_str());
    let network = match mode {
        "" | "none" => None,
        "bridge" | "default" => Some("bridge"),
        "host" if has_port => {
            let why = "on the host's own network it has no port of its own that could be published";
            return Err(Error::unenforceable(MODE, PLACE, why));
        }
        "host" => Some("host"),
        _ => return Err(Error::unenforceable(MODE, PLACE, "it is none of none, bridge and host")),
    };
    match profile.outbound() {
        Outbound::Everywhere => {}
        Outbound::Nowhere if network.is_some() => {
            spec.leave_out(MODE, PLACE, "whoever is on that network reaches everything", weaker)?;
        }
        Outbound::Nowhere if has_port => {
            spec.leave_out(
                "permission_profile.network",
                PLACE,
                "a port is not reached without a network",
                weaker,
            )?;
        }
        Outbound::Nowhere => return Ok(Some("none")),
        Outbound::Listed { hosts, ports } => {
            let why = "engines let a container out or not, to wherever it likes";
            if !hosts.is_empty() {
                spec.leave_out("permission_profile.network.outbound.allow_host", PLACE, why, weaker)?;
            }
            if !ports.is_empty() {
                spec.leave_out("permission_profile.network.outbound.allow_port", PLACE, why, weaker)?;
            }
        }
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::tests::spec;

    const HTTP: &str = r#"{ "kind": "http", "target_port": 80 }"#;
    const STDIO: &str = r#"{ "kind": "stdio" }"#;

    fn judged(transport: &str, profile: &str, allow_weaker: bool) -> Result<Rights> {
        let json = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        rights(&spec(serde_json::json!({
            "transport": json(transport), "permission_profile": json(profile), "allow_weaker": allow_weaker,
        })))
    }

    #[test]
    fn networks_are_those_that_a_profile_says() {
        let everywhere = r#"{"network":{"outbound":{"insecure_allow_all":true}}}"#;
        for (transport, profile, network) in [
            (STDIO, "{}", Some("none")),
            (STDIO, everywhere, None),
            (HTTP, everywhere, None),
            (STDIO, r#"{"network":{"mode":"none","outbound":{"insecure_allow_all":true}}}"#, Some("none")),
            (STDIO, r#"{"network":{"mode":"host","outbound":{"insecure_allow_all":true}}}"#, Some("host")),
            (HTTP, r#"{"network":{"mode":"bridge","outbound":{"insecure_allow_all":true}}}"#, Some("bridge")),
        ] {
            let rights = judged(transport, profile, false).unwrap();
            assert_eq!((rights.network, rights.read_only), (network, true), "{profile}");
        }
    }

    #[test]
    fn what_cannot_be_enforced_is_refused_by_name_or_told() {
        for (transport, profile, field) in [
            (STDIO, r#"{"network":{"outbound":{"allow_host":["a"]}}}"#, "outbound.allow_host"),
            (STDIO, r#"{"network":{"outbound":{"allow_port":[1]}}}"#, "outbound.allow_port"),
            (STDIO, r#"{"network":{"inbound":{"allow_host":["a"]}}}"#, "inbound.allow_host"),
            (STDIO, r#"{"network":{"mode":"bridge"}}"#, "network.mode"),
            (HTTP, "{}", "permission_profile.network"),
        ] {
            let refused = judged(transport, profile, false).unwrap_err();
            assert!(refused.details.unwrap()["field"].as_str().unwrap().ends_with(field), "{profile}");
            let rights = judged(transport, profile, true).unwrap();
            assert!(rights.weaker[0].what.ends_with(field), "{profile}: {rights:?}");
        }
    }

    #[test]
    fn modes_that_no_container_has_are_refused_whatever_is_allowed() {
        for (transport, mode) in [(STDIO, "mine"), (HTTP, "host")] {
            let profile = format!(r#"{{"network":{{"mode":"{mode}"}}}}"#);
            assert!(judged(transport, &profile, true).unwrap_err().message.contains("network.mode"));
        }
    }

    #[test]
    fn a_privileged_profile_is_reported_as_privileged() {
        let rights = judged(STDIO, r#"{"privileged":true}"#, false).unwrap();
        assert!(rights.privileged && !rights.read_only && rights.weaker.len() == 1);
    }
}
