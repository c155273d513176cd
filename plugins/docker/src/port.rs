//! The port on which a workload is to listen inside its container: the container publishes it, and a profile's network
//! depends on it.
use wharf_sdk::{Transport, WorkloadSpec};

/// The port inside the container; none: it speaks over stdin and stdout.
pub(crate) const fn target_port(spec: &WorkloadSpec) -> Option<u16> {
    match spec.transport {
        Transport::Stdio => None,
        Transport::Http { target_port } => Some(target_port),
    }
}
