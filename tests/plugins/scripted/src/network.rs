//! The network of workloads of the conformance suite, by their permission profile, and faulty variants of it.
use std::net::{Ipv4Addr, TcpStream};
use wharf_sdk::{Error, Outbound, Result, WorkloadSpec};
use wharf_test_engine::Flaw;

/// There are no networks with names.
pub(crate) fn check(spec: &WorkloadSpec) -> Result<()> {
    let network = spec.permission_profile.as_ref().and_then(|profile| profile.network.as_ref());
    match network.map_or("", |network| network.mode.as_str()) {
        "" | "none" => Ok(()),
        _ => Err(Error::unsupported("permission_profile.network.mode", "there are no networks with names")),
    }
}

/// Refuses a network that is to be closed although it was seen that they are: the faulty variant.
pub(crate) fn ignore_verdict(spec: &WorkloadSpec) -> Result<()> {
    match &spec.network_verdict {
        Some(verdict) if verdict.enforced => {
            Err(Error::unsupported("permission_profile.network", "nobody knows whether networks are closed"))
        }
        _ => Ok(()),
    }
}

/// Whether its profile lets a workload connect to a listener beside it.
pub(crate) fn lets_out(spec: &WorkloadSpec, port: u16, flaw: Option<Flaw>) -> bool {
    let Some(profile) = &spec.permission_profile else { return true };
    match profile.outbound() {
        Outbound::Everywhere => flaw != Some(Flaw::NeverConnects),
        Outbound::Nowhere => match spec.transport.target_port() {
            None => flaw == Some(Flaw::ConnectsAnyway),
            Some(_) => flaw == Some(Flaw::ConnectsWithPort),
        },
        // This machine is none of the hosts that are listed.
        Outbound::Listed { hosts, ports } => {
            (hosts.is_empty() || flaw == Some(Flaw::AnyHost))
                && (ports.is_empty() || ports.contains(&port) || flaw == Some(Flaw::AnyPort))
        }
    }
}

/// Whether its profile gives it no network.
pub(crate) fn is_cut_off(spec: &WorkloadSpec) -> bool {
    spec.permission_profile.as_ref().is_some_and(|profile| profile.outbound() == Outbound::Nowhere)
}

/// Whether there is something to connect to.
pub(crate) fn connects(port: &str) -> bool {
    port.parse().is_ok_and(|port: u16| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
}
