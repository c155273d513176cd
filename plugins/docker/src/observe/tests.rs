use super::*;
use wharf_sdk::ErrorCode;

#[expect(clippy::needless_pass_by_value, reason = "a call with json!(…) reads better")]
fn listed(more: serde_json::Value) -> Option<Observation> {
    let mut seen = serde_json::json!({
        "Id": "0123456789abcdef", "Labels": { "wharf.uid": "u", "wharf.host-id": "h" },
    });
    seen.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    of_summary(serde_json::from_value(seen).unwrap())
}

#[test]
fn a_listing_tells_whose_it_is_how_it_ended_and_where_it_listens() {
    let seen =
        listed(serde_json::json!({ "State": "exited", "Status": "Exited (137) 2 minutes ago" })).unwrap();
    assert_eq!((seen.uid.as_str(), seen.host_id.as_str(), seen.object.as_str()), ("u", "h", "0123456789ab"));
    assert_eq!(seen.exit.unwrap().code, Some(137));
    let ports =
        serde_json::json!([{ "PrivatePort": 80, "PublicPort": 32768, "Type": "tcp", "IP": "127.0.0.1" }]);
    let seen = listed(serde_json::json!({ "State": "running", "Ports": ports })).unwrap();
    assert_eq!((seen.state, seen.address), (WorkloadState::Running, Some(Address::loopback(32768))));
}

#[test]
fn a_pause_and_the_images_own_check_are_told() {
    let told = |state: &str, status: &str| {
        listed(serde_json::json!({ "State": state, "Status": status })).unwrap().condition
    };
    assert!(told("paused", "Up 2 minutes (Paused)").paused);
    assert_eq!(told("running", "Up 2 minutes (unhealthy)").check, Some(Check::Unhealthy));
    assert_eq!(told("running", "Up 2 seconds (health: starting)").check, Some(Check::Starting));
    assert!(told("running", "Up 2 minutes").is_plain());
    let inspected = |state: serde_json::Value| {
        let labels = serde_json::json!({ "wharf.uid": "u", "wharf.host-id": "h" });
        let seen =
            serde_json::json!({ "Id": "0123456789abcdef", "Config": { "Labels": labels }, "State": state });
        of_inspection(serde_json::from_value(seen).unwrap()).unwrap()
    };
    let seen = inspected(serde_json::json!({ "Status": "paused", "Running": true, "Paused": true }));
    assert!(seen.is_paused());
    let seen = inspected(serde_json::json!({ "Status": "running", "Health": { "Status": "unhealthy" } }));
    assert_eq!(seen.condition.check, Some(Check::Unhealthy));
    assert!(
        inspected(serde_json::json!({ "Status": "exited", "Health": { "Status": "unhealthy" } }))
            .condition
            .is_plain()
    );
    assert!(
        inspected(serde_json::json!({ "Status": "running", "Health": { "Status": "" } }))
            .condition
            .is_plain()
    );
}

#[test]
fn what_is_said_of_one_by_its_id_counts() {
    let mut seen: Summary = serde_json::from_value(serde_json::json!({
        "Id": "0123456789abcdef", "Labels": { "wharf.uid": "u", "wharf.host-id": "h" }, "State": "running",
    }))
    .unwrap();
    assert_eq!(seen.doing(), WorkloadState::Running);
    let state = serde_json::json!({ "State": { "Status": "exited", "ExitCode": 137, "OOMKilled": true } });
    seen.inspected = serde_json::from_value(state).ok();
    assert_eq!(seen.doing(), WorkloadState::Stopped);
    let seen = of_summary(seen).unwrap();
    assert_eq!(seen.exit.unwrap().reason, "out of memory");
}

#[test]
fn a_state_that_is_not_known_spoils_no_listing() {
    for (name, state) in [("stopped", WorkloadState::Stopped), ("unknown", WorkloadState::Unknown)] {
        assert_eq!(listed(serde_json::json!({ "State": name })).unwrap().state, state);
    }
}

#[test]
fn a_container_without_our_labels_is_not_ours() {
    assert!(listed(serde_json::json!({ "Labels": { "wharf.uid": "u" } })).is_none());
    let inspected = |seen| of_inspection(serde_json::from_value(seen).unwrap()).unwrap_err().code;
    let foreign = serde_json::json!({ "Id": "0af3", "Config": { "Labels": { "wharf.uid": "u" } } });
    assert_eq!(inspected(foreign), ErrorCode::NotFound);
    for says_nothing in [serde_json::json!({}), serde_json::json!({ "Id": "0af3", "Config": {} })] {
        assert_eq!(inspected(says_nothing), ErrorCode::Internal);
    }
}

#[test]
fn the_year_1_is_no_time() {
    assert_eq!(millis("0001-01-01T00:00:00Z"), None);
    assert_eq!(millis("1970-01-01T00:00:01.5Z"), Some(1500));
    assert_eq!(millis("2026-01-01T01:00:00.000000001+01:00"), millis("2026-01-01T00:00:00Z"));
}
