use serde_json::{Value, json};

use crate::file::document::{decode, decode_to_show, encode, rewrite};
use crate::file::test_process::name;
use crate::*;
use wharf_model::{
    Desired, Event, Owner, Phase, RestartPolicy, RunConfig, RunConfigError, StatusRecord, Transport,
};

const UID: &str = "0123456789abcdef0123456789abcdef";

/// A RunConfig as ToolHive writes it, with the two fields that it does not have.
fn toolhive() -> Value {
    json!({
        "schema_version": "v0.1.0", "image": "ghcr.io/example/time:1", "name": "time",
        "container_name": "time", "base_name": "time", "transport": "stdio", "host": "127.0.0.1",
        "port": 21396, "proxy_mode": "streamable-http", "isolate_network": true,
        "permission_profile": {"network": {"outbound": {"allow_port": [443]}}},
        "env_vars": {"MCP_TRANSPORT": "stdio"}, "cmd_args": null,
        "container_labels": {"toolhive": "true"}, "uid": UID,
    })
}

fn parse(value: &Value) -> Result<RunConfig, ReadError> {
    decode(|| "time.json".into(), &name("time"), value.to_string().as_bytes())
}

fn with(changes: Value) -> Value {
    let mut value = toolhive();
    let Value::Object(changes) = changes else { panic!("not an object") };
    value.as_object_mut().unwrap().extend(changes);
    value
}

fn owner() -> Owner {
    Owner {
        runtime_name: "docker".to_owned(),
        runtime_instance: "engine-1".to_owned(),
        runtime_endpoint: "unix:///run/docker.sock".to_owned(),
    }
}

fn rewritten(value: &Value, change: impl FnOnce(&mut RunConfig)) -> Value {
    let before = parse(value).unwrap();
    let mut after = before.clone();
    change(&mut after);
    serde_json::from_slice(&rewrite(&name("time"), value.to_string().as_bytes(), &before, &after).unwrap())
        .unwrap()
}

#[test]
fn a_file_of_toolhive_reads_with_defaults_for_what_it_lacks() {
    let config = parse(&toolhive()).unwrap();
    assert_eq!(config.image, "ghcr.io/example/time:1");
    assert_eq!((config.port, config.transport), (21396, Transport::Stdio));
    assert_eq!((config.group.as_str(), config.restart), ("default", RestartPolicy::UnlessStopped));
    assert_eq!((config.owner(), config.cmd_args.len()), (None, 0));
    assert!(!config.is_remote() && config.created_at.is_none());
}

#[test]
fn r07_a_recorded_owner_changes_nothing_else_in_the_file() {
    let mut expected = toolhive();
    assert_eq!(rewritten(&expected, |_| {}), expected);
    let adopted = rewritten(&expected, |config| config.set_owner(owner()));
    for (field, text) in [
        ("runtime_name", "docker"),
        ("runtime_instance", "engine-1"),
        ("runtime_endpoint", "unix:///run/docker.sock"),
    ] {
        expected[field] = json!(text);
    }
    assert_eq!(adopted, expected);
}

/// A file of ToolHive, byte for byte, with what makes a rewrite lose something: order, spelling, great numbers.
const OF_TOOLHIVE: &str = r#"{
  "schema_version": "v0.1.0",
  "image": "ghcr.io/example/time:1",
  "name": "time",
  "transport": "TRANSPORT",
  "host": "127.0.0.1",
  "port": 21396,
  "permission_profile": {
    "network": { "outbound": { "allow_host": ["a\u0026b"], "allow_port": [443] } }
  },
  "container_name": "time",
  "isolate_network": true,
  "middleware_configs": [ {"type": "mcp-parser", "parameters": 123456789012345678901234567890} ],
  "proxy_mode": "TRANSPORT",
  "runtime_name": OWNER
}"#;

#[test]
fn r07_a_file_without_a_uid_is_a_workload_without_an_owner_and_always_the_same_one() {
    let read = |name: &str, text: &str| {
        decode::<RunConfig>(|| "x".into(), &crate::file::test_process::name(name), text.as_bytes())
    };
    for transport in ["sse", "inspector", "streamable-http"] {
        for nobody in ["\"\"", "\" \"", "7", "null", "{}"] {
            let text = OF_TOOLHIVE.replace("TRANSPORT", transport).replace("OWNER", nobody);
            let config = read("time", &text).unwrap();
            assert_eq!((config.owner(), config.transport.as_str()), (None, transport));
            assert_eq!(config.uid.as_str(), "86fbe1b00e2a36278c940e32dbb68d6b");
        }
    }
    let other =
        OF_TOOLHIVE.replace("TRANSPORT", "sse").replace("OWNER", "null").replace("\"time\"", "\"clock\"");
    let mut lost = toolhive();
    lost.as_object_mut().unwrap().remove("uid");
    assert_ne!(read("clock", &other).unwrap().uid, parse(&lost).unwrap().uid);
    lost["runtime_instance"] = json!("engine-1");
    assert!(parse(&lost).unwrap_err().is_corrupt(), "wharf wrote an instance, and then also a uid");
}

#[test]
fn r07_a_recorded_owner_adds_members_and_leaves_every_other_byte() {
    let old = OF_TOOLHIVE.replace("TRANSPORT", "streamable-http").replace("OWNER", "null");
    let before: RunConfig = decode(|| "x".into(), &name("time"), old.as_bytes()).unwrap();
    let mut after = before.clone();
    after.set_owner(owner());
    let written = rewrite(&name("time"), old.as_bytes(), &before, &after).unwrap();
    let adopted = "\"docker\",\n  \"uid\": \"UID\",\n  \
                   \"runtime_endpoint\": \"unix:///run/docker.sock\",\n  \"runtime_instance\": \"engine-1\"\n}"
        .replace("UID", before.uid.as_str());
    assert_eq!(String::from_utf8(written.clone()).unwrap(), old.replace("null\n}", &adopted));
    let read: RunConfig = decode(|| "x".into(), &name("time"), &written).unwrap();
    assert_eq!(read, after);
}

#[test]
fn r07_a_status_file_of_toolhive_is_read_and_its_rewrite_is_one_of_wharf() {
    for (said, phase, desired) in [
        ("running", Phase::Running, Desired::Running),
        ("unhealthy", Phase::Running, Desired::Running),
        ("unauthenticated", Phase::Running, Desired::Running),
        ("starting", Phase::Starting, Desired::Running),
        ("stopping", Phase::Stopping, Desired::Stopped),
        ("policy_stopped", Phase::Stopped, Desired::Stopped),
        ("unknown", Phase::Error, Desired::Stopped),
    ] {
        let old = json!({
            "status": said, "status_context": "why", "created_at": "2026-03-01T10:00:00.1+01:00",
            "updated_at": "0001-01-01T00:00:00Z", "process_id": 48437,
        });
        let bytes = old.to_string().into_bytes();
        let before: StatusRecord = decode(|| "x".into(), &name("time"), &bytes).unwrap();
        assert_eq!((before.phase, before.desired, before.revision), (phase, desired, 1), "{said}");
        assert_eq!((before.process_id, before.supervisor.is_none()), (48437, true));
        let after = StatusRecord { revision: 2, ..before.clone() };
        let bytes = rewrite(&name("time"), &bytes, &before, &after).unwrap();
        let written: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(written["uid"], before.uid.as_str());
        assert_eq!((&written["created_at"], &written["desired"]), (&old["created_at"], &json!(desired)));
        assert_eq!(decode::<StatusRecord>(|| "x".into(), &name("time"), &bytes).unwrap(), after);
    }
    let absurd = json!({"status": "flying", "created_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-01T10:00:00Z"});
    let fault = decode::<StatusRecord>(|| "x".into(), &name("time"), absurd.to_string().as_bytes());
    assert!(fault.unwrap_err().is_corrupt());
}

#[test]
fn a_field_that_is_emptied_leaves_the_file_and_unknown_ones_stay() {
    let file = with(json!({"cmd_args": ["-v"], "later": {"deep": [1, 2.5, null]}}));
    let written = rewritten(&file, |config| config.cmd_args.clear());
    assert_eq!(written["later"], file["later"]);
    assert_eq!(written["container_name"], "time");
    assert!(written.get("cmd_args").is_none() && written.get("group").is_none());
}

#[test]
fn unknown_fields_inside_a_known_one_stay_while_it_is_not_changed() {
    let file = json!({
        "uid": UID, "revision": 3, "status": "running", "desired": "running",
        "created_at": "2026-03-01T10:00:00.1+01:00", "updated_at": "2026-03-01T10:00:09.4+01:00",
        "process_id": 48437, "last_exit": {"code": 1, "at": "2026-03-01T09:00:00Z", "core_dumped": true},
    });
    let bytes = file.to_string().into_bytes();
    let before: StatusRecord = decode(|| "x".into(), &name("time"), &bytes).unwrap();
    assert_eq!(before.created_at.to_string(), "2026-03-01T09:00:00.1Z");
    let mut after = before.clone();
    after.apply(Event::StopBegun).unwrap();
    let written: Value =
        serde_json::from_slice(&rewrite(&name("time"), &bytes, &before, &after).unwrap()).unwrap();
    assert_eq!(written["status"], "stopping");
    for untouched in ["last_exit", "created_at", "process_id"] {
        assert_eq!(written[untouched], file[untouched]);
    }
}

#[test]
fn r07_an_owner_that_is_no_text_or_blank_is_no_owner() {
    for nobody in [json!(""), json!("  \n"), json!(7), json!(null), json!(["docker"]), json!({"a": 1})] {
        let file = with(json!({"runtime_name": nobody}));
        assert_eq!(parse(&file).unwrap().owner(), None, "{nobody}");
        assert_eq!(rewritten(&file, |config| config.port = 1)["runtime_name"], nobody);
    }
    assert_eq!(parse(&with(json!({"runtime_name": " docker "}))).unwrap().runtime_name, "docker");
}

#[test]
fn r03_a_remote_workload_with_an_owner_is_invalid() {
    let remote = with(json!({"remote_url": "https://example.com/mcp", "image": ""}));
    assert!(parse(&remote).unwrap().is_remote());
    let mut owned = remote;
    owned["runtime_name"] = json!("docker");
    let fault = parse(&owned).unwrap_err();
    let ReadError::Corrupt { why: Corruption::Contradiction { source }, .. } = fault else {
        panic!("{fault:?}")
    };
    assert!(matches!(source, RunConfigError::RemoteWithOwner { .. }));
}

#[test]
fn each_invalid_file_says_what_is_wrong() {
    let cases = [
        (with(json!({"transport": "carrier-pigeon"})), "unknown variant `carrier-pigeon`"),
        (with(json!({"port": 70000})), "70000"),
        (with(json!({"uid": "abc"})), "32 lowercase hexadecimal digits"),
        (with(json!({"schema_version": "new"})), "v0.1.0"),
        (with(json!({"env_vars": [1]})), "expected a map"),
        (with(json!({"image": " "})), "nothing to run"),
        (with(json!({"name": "other"})), "\"other\""),
        (json!(["v0.1.0", UID, "time"]), "not a JSON object"),
        (json!({"uid": UID}), "missing field `name`"),
    ];
    for (file, words) in cases {
        let fault = parse(&file).map(drop).unwrap_err();
        assert!(fault.is_corrupt(), "{fault:?}");
        let mut text = String::new();
        let mut next: Option<&dyn std::error::Error> = Some(&fault);
        while let Some(error) = next {
            text = format!("{text}: {error}");
            next = error.source();
        }
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_newer_file_is_shown_if_it_can_be_and_is_never_called_corrupt() {
    let readable = parse(&with(json!({"schema_version": "v0.2.0"}))).unwrap();
    assert!(readable.schema_version.is_newer());
    let fault = parse(&with(json!({"schema_version": "v0.2.0", "transport": "carrier-pigeon"}))).unwrap_err();
    assert!(matches!(fault, ReadError::Newer { .. }) && !fault.is_corrupt());
    assert_eq!(
        fault.to_string(),
        "time.json has schema v0.2.0, and this wharf knows v0.1.0: use a newer wharf"
    );
}

#[test]
fn a_new_file_is_indented_json_without_empty_fields() {
    let mut config = RunConfig::new(UID.parse().unwrap(), name("time"), "uvx://mcp-server-time");
    config.created_at = Some("2026-03-01T10:00:00Z".parse().unwrap());
    let text = String::from_utf8(encode(&config).unwrap()).unwrap();
    let expected = r#"{
  "created_at": "2026-03-01T10:00:00Z",
  "group": "default",
  "host": "127.0.0.1",
  "name": "time",
  "port": 0,
  "proxy_mode": "streamable-http",
  "restart": "unless-stopped",
  "schema_version": "v0.1.0",
  "server": "uvx://mcp-server-time",
  "transport": "stdio",
  "uid": "0123456789abcdef0123456789abcdef"
}
"#;
    assert_eq!(text, expected);
}

/// A number that no reader can hold: text of JSON, and no value.
const UNREADABLE_HANDLE: &str = r#"{"uid": "0123456789abcdef0123456789abcdef", "revision": 1, "status": "stopped",
  "desired": "stopped", "created_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-01T10:00:00Z",
  "handle": {"n": 1e999}, "schema_version": "VERSION"}"#;

#[test]
fn r11_a_handle_that_nobody_can_read_is_shown_and_is_corrupt_for_whoever_acts_unless_the_file_is_newer() {
    let ours = UNREADABLE_HANDLE.replace("VERSION", "v0.1.0");
    assert!(decode_to_show::<StatusRecord>(|| "x".into(), &name("time"), ours.as_bytes()).is_ok());
    let fault = decode::<StatusRecord>(|| "x".into(), &name("time"), ours.as_bytes()).unwrap_err();
    assert!(fault.is_corrupt(), "{fault}");
    let later = UNREADABLE_HANDLE.replace("VERSION", "v9.0.0");
    let fault = decode::<StatusRecord>(|| "x".into(), &name("time"), later.as_bytes()).unwrap_err();
    assert!(matches!(fault, ReadError::Newer { .. }), "{fault}");
}
