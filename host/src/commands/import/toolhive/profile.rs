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

/// The profile without what the volumes say, too: ToolHive writes each volume down a second time, as a path of its profile,
/// and a path that is mounted twice cannot be started.
pub(crate) fn without_volumes(profile: &Value, volumes: &[String]) -> Value {
    let place = |text: &str| {
        let text = text.strip_suffix(":ro").or_else(|| text.strip_suffix(":rw")).unwrap_or(text);
        text.to_owned()
    };
    let mounted: Vec<String> = volumes.iter().map(|volume| place(volume)).collect();
    let mut profile = profile.clone();
    for field in ["read", "write"] {
        let Some(paths) = profile.get_mut(field).and_then(Value::as_array_mut) else { continue };
        paths.retain(|path| path.as_str().is_none_or(|path| !mounted.contains(&place(path))));
        if paths.is_empty()
            && let Some(fields) = profile.as_object_mut()
        {
            fields.remove(field);
        }
    }
    profile
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
    fn a_profile_that_toolhive_never_enforced_is_not_enforced_in_a_copy() {
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
    fn a_volume_that_is_written_down_twice_is_mounted_once() {
        let volumes = ["/docs:/in:ro".to_owned(), "/out:/out".to_owned()];
        let profile = json!({ "name": "network", "read": ["/docs:/in", "/etc/x"], "write": ["/out:/out"] });
        let rest = json!({ "name": "network", "read": ["/etc/x"] });
        assert_eq!(without_volumes(&profile, &volumes), rest);
        let other = json!({ "read": ["/docs:/elsewhere", 1] });
        assert_eq!(without_volumes(&other, &volumes), other, "another place, and what is no path");
    }

    #[test]
    fn a_profile_that_is_not_known_is_kept_and_said() {
        let profile = json!({ "gpu": true });
        let (kept, note) = in_force(Some(&profile), false);
        assert!(kept == Some(profile) && note.unwrap().contains("does not know"));
    }
}
