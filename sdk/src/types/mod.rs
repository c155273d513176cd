//! The data that crosses the boundary: plain types with serde, all of them documents of `sdk/schema/`.
//!
//! They follow the old/new reader/writer rule: a field is added with a default and left out when empty, never
//! renamed. The one exception to "ignore what you do not know" is [`WorkloadSpec`]: a field that a plugin does not
//! know is something the user asked for, so it is refused, by name (nothing asked for is silently ignored).
mod address;
mod capability;
mod container;
mod endpoint;
mod error;
mod foreign;
mod handle;
mod mount;
mod network_verdict;
mod observation;
mod open_paths;
mod options;
mod pins;
mod profile;
mod spec;

pub use address::Address;
pub use capability::Capability;
pub use container::{ContainerOptions, Ulimit};
pub use endpoint::endpoint_options;
pub use error::{Error, ErrorCode, Result};
pub use foreign::{ForeignListing, ForeignResource, LabelSelector};
pub use handle::Handle;
pub use mount::{Mount, Relabel};
pub use network_verdict::NetworkVerdict;
pub use observation::{
    Check, Condition, Confinement, Exit, Health, HealthState, Instance, Listing, Measure, Observation,
    WorkloadState,
};
pub use open_paths::OpenPaths;
pub use options::{DialOptions, ListQuery, LogOptions, StopOptions};
pub use pins::Pins;
pub use profile::{InboundPermissions, NetworkPermissions, Outbound, OutboundPermissions, PermissionProfile};
pub use spec::{PullPolicy, Source, Transport, WorkloadSpec};
