//! Finds the part of ToolHive's permission profiles that was in force.
use serde_json::Value;
use wharf_sdk::{NetworkPermissions, OutboundPermissions, PermissionProfile};

/// The profile for wharf to enforce, and a remark if it differs from the original.
///
/// ToolHive restricts the network only of workloads that it isolates. For all others, this part of the profile had no
/// effect, and enforcing it now would cut them off.
pub(crate) fn in_force(profile: Option<&Value>, is_isolated: bool) -> (Option<Value>, Option<String>) {
    let Some(value) = profile.filter(|value| !value.is_null()) else { return (None, None) };
    let Ok(mut profile) = serde_json::from_value::<PermissionProfile>(value.clone()) else {
        let note = "permission_profile: has parts that wharf does not know, and nothing is run without them";
        return (Some(value.clone()), Some(note.to_owned()));
    };
    if is_isolated {
        return (Some(value.clone()), None);
    }
    let mode = profile.network.take().map(|network| network.mode).unwrap_or_default();
    let has_usual_network = matches!(mode.as_str(), "" | "bridge");
    if has_usual_network && profile.read.is_empty() && profile.write.is_empty() && !profile.privileged {
        let says_something = value.as_object().is_some_and(|fields| !fields.is_empty());
        let note = "permission_profile: left out; ToolHive does not isolate this workload, so nothing of it was in force";
        return (None, says_something.then(|| note.to_owned()));
    }
    let outbound = has_usual_network
        .then(|| OutboundPermissions { insecure_allow_all: true, ..OutboundPermissions::default() });
    profile.network = Some(NetworkPermissions { mode, outbound, inbound: None });
    let note = "permission_profile: its network is open, as it was; ToolHive does not isolate this workload";
    match serde_json::to_value(&profile) {
        Ok(opened) => (Some(opened), Some(note.to_owned())),
        Err(_) => (Some(value.clone()), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_profile_of_an_isolated_workload_stays_as_it_is() {
        for profile in [json!({}), json!({ "network": { "outbound": { "allow_host": ["example.com"] } } })] {
            assert_eq!(in_force(Some(&profile), true), (Some(profile), None));
        }
    }

    #[test]
    fn what_was_never_in_force_is_not_enforced_now() {
        assert_eq!(in_force(None, false), (None, None));
        assert_eq!(in_force(Some(&Value::Null), true), (None, None));
        assert_eq!(in_force(Some(&json!({})), false), (None, None));
        let hosts = json!({ "network": { "outbound": { "allow_host": ["example.com"] } } });
        let (kept, note) = in_force(Some(&hosts), false);
        assert!(kept.is_none() && note.unwrap().contains("left out"));
        let files = json!({ "read": ["/data"], "network": { "outbound": { "allow_port": [443] } } });
        let (kept, note) = in_force(Some(&files), false);
        let open = json!({ "read": ["/data"], "network": { "outbound": { "insecure_allow_all": true } } });
        assert_eq!(kept, Some(open));
        assert!(note.is_some());
    }

    #[test]
    fn a_profile_that_is_not_known_is_kept_and_said() {
        let profile = json!({ "gpu": true });
        let (kept, note) = in_force(Some(&profile), false);
        assert!(kept == Some(profile) && note.unwrap().contains("does not know"));
    }
}
