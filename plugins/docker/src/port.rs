//! The port on which a workload listens inside its container: the container publishes it, and a profile's network depends
//! on it.
use wharf_sdk::WorkloadSpec;

/// The port inside the container. None: the server uses stdin and stdout.
pub(crate) const fn target_port(spec: &WorkloadSpec) -> Option<u16> {
    spec.transport.target_port()
}
