//! [`PermissionProfile`]: what a workload may touch, in ToolHive's form.
use serde::{Deserialize, Serialize};

/// The files and the network that a workload may use beside those that its runtime gives to every one.
///
/// A runtime that cannot enforce a part of it refuses that part by name, unless [`crate::WorkloadSpec::allow_weaker`] says
/// otherwise; an unknown field is refused too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PermissionProfile {
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Files and folders that it may read: a path, or `HOST:WORKLOAD` where the runtime can show it elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// The same, to be read and written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    /// The network that it has; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkPermissions>,
    /// No confinement at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
}

/// The network of a [`PermissionProfile`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NetworkPermissions {
    /// The network of an engine (`none`, `bridge`, `host`, or one by name); the runtime's usual one if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// The ports and hosts that it may connect to; nowhere if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<OutboundPermissions>,
    /// The hosts that may connect to it, beside wharf's proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<InboundPermissions>,
}

/// The ports and hosts that a workload may connect to: everywhere, or these ports of these hosts. If one list is empty, the
/// other alone decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OutboundPermissions {
    /// Everywhere; the lists are then ignored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_allow_all: bool,
    /// Names of hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_host: Vec<String>,
    /// Ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_port: Vec<u16>,
}

/// The hosts that may connect to a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InboundPermissions {
    /// Names of hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_host: Vec<String>,
}

/// The outbound network of a profile, computed from all fields that decide about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound<'a> {
    /// Nowhere.
    Nowhere,
    /// Everywhere.
    Everywhere,
    /// To these ports of these hosts; an empty list stands for any.
    Listed {
        /// Names of hosts.
        hosts: &'a [String],
        /// Ports.
        ports: &'a [u16],
    },
}

impl PermissionProfile {
    /// The profile with this name that every runtime knows: `none` (no files of the user's, no network) or `network`
    /// (no files of the user's, every network).
    pub fn built_in(name: &str) -> Option<Self> {
        let insecure_allow_all = match name {
            "none" => false,
            "network" => true,
            _ => return None,
        };
        let outbound = OutboundPermissions { insecure_allow_all, ..OutboundPermissions::default() };
        let network = NetworkPermissions { outbound: Some(outbound), ..NetworkPermissions::default() };
        Some(Self { name: name.to_owned(), network: Some(network), ..Self::default() })
    }

    /// Where the profile lets a workload connect to.
    pub fn outbound(&self) -> Outbound<'_> {
        let Some(network) = &self.network else { return Outbound::Nowhere };
        match &network.outbound {
            _ if network.mode == "none" => Outbound::Nowhere,
            Some(outbound) if outbound.insecure_allow_all => Outbound::Everywhere,
            Some(outbound) if !outbound.allow_host.is_empty() || !outbound.allow_port.is_empty() => {
                Outbound::Listed { hosts: &outbound.allow_host, ports: &outbound.allow_port }
            }
            _ => Outbound::Nowhere,
        }
    }

    /// Whether the profile names hosts that may connect to the workload.
    pub fn limits_inbound(&self) -> bool {
        let inbound = self.network.as_ref().and_then(|network| network.inbound.as_ref());
        inbound.is_some_and(|inbound| !inbound.allow_host.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound(profile: &str) -> String {
        let profile: PermissionProfile = serde_json::from_str(profile).unwrap();
        format!("{:?}", profile.outbound())
    }

    #[test]
    fn a_profile_without_a_network_section_allows_no_network() {
        for silent in ["{}", r#"{"network":{}}"#, r#"{"network":{"outbound":{}}}"#, r#"{"read":["/a"]}"#] {
            assert_eq!(outbound(silent), "Nowhere", "{silent}");
        }
        let none = r#"{"network":{"mode":"none","outbound":{"insecure_allow_all":true}}}"#;
        assert_eq!(outbound(none), "Nowhere", "no network at all is stronger");
    }

    #[test]
    fn insecure_allow_all_overrides_a_list_of_hosts_and_ports() {
        assert_eq!(
            outbound(r#"{"network":{"outbound":{"insecure_allow_all":true,"allow_port":[443]}}}"#),
            "Everywhere"
        );
        assert_eq!(
            outbound(r#"{"network":{"outbound":{"allow_host":["a.example"],"allow_port":[443]}}}"#),
            r#"Listed { hosts: ["a.example"], ports: [443] }"#
        );
    }

    #[test]
    fn the_built_in_profiles_are_none_and_network() {
        let of = |name| PermissionProfile::built_in(name);
        assert_eq!(of("none").unwrap().outbound(), Outbound::Nowhere);
        assert_eq!(of("network").unwrap().outbound(), Outbound::Everywhere);
        assert_eq!(of("other"), None);
    }

    #[test]
    fn a_field_that_is_not_known_is_refused_by_name() {
        let error = serde_json::from_str::<PermissionProfile>(r#"{"devices":["/dev/kvm"]}"#).unwrap_err();
        assert!(error.to_string().contains("devices"), "{error}");
    }
}
