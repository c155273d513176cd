//! The parts of a RunConfig of ToolHive's that are translated, and the remarks on the rest.
use crate::commands::import::toolhive::translate::*;
use serde_json::json;

fn file(value: &Value) -> File {
    File {
        fields: serde_json::from_value(value.clone()).unwrap(),
        members: serde_json::from_str(&value.to_string()).unwrap(),
    }
}

fn translated(value: &Value) -> Result<Translation, Refusal> {
    translate(&file(value), WorkloadName::new("time").unwrap(), Uid::random().unwrap())
}

fn http(more: &Value) -> Value {
    let mut value = json!({
        "schema_version": "v0.1.0", "image": "example/web:1", "name": "web", "base_name": "web",
        "container_name": "web", "transport": "streamable-http", "host": "127.0.0.1", "port": 21396,
        "target_port": 8080, "permission_profile": {},
    });
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

#[test]
fn every_toolhive_field_that_wharf_has_is_translated() {
    let value = http(&json!({
        "group": "mine", "cmd_args": ["--a"], "volumes": ["/a:/b:ro"], "proxy_mode": "streamable-http",
        "env_vars": {"A": "b", "MCP_TRANSPORT": "streamable-http", "MCP_PORT": "8080", "MCP_HOST": "0.0.0.0"},
        "secrets": ["token,target=API_TOKEN"],
        "container_labels": {"toolhive": "true", "toolhive-name": "web", "team": "web"},
    }));
    let Translation { run, kept, not_implemented, changed } = translated(&value).unwrap();
    assert_eq!((run.image.as_str(), run.server.as_str()), ("example/web:1", ""));
    assert_eq!((run.transport, run.port, run.target_port), (Transport::StreamableHttp, 21396, 8080));
    assert_eq!(
        (run.group.as_str(), &run.cmd_args[..], &run.volumes[..]),
        ("mine", &["--a".to_owned()][..], &["/a:/b:ro".to_owned()][..])
    );
    let env: Vec<_> = run.env_vars.keys().map(String::as_str).collect();
    assert_eq!(env, ["A", "MCP_TRANSPORT"], "what wharf tells the server by itself is not in the record");
    assert_eq!(run.secrets, ["token,target=API_TOKEN"]);
    assert_eq!(run.labels, BTreeMap::from([("team".to_owned(), "web".to_owned())]));
    assert!(run.owner().is_none() && run.created_at.is_none() && run.permission_profile.is_none());
    assert!(kept.is_empty() && not_implemented.is_empty(), "{not_implemented:?}");
    assert!(changed.len() == 1 && changed[0].contains("token"), "{changed:?}");
}

#[test]
fn a_field_that_wharf_does_not_implement_is_kept_verbatim_and_named() {
    let value = http(&json!({
        "tools_filter": ["now"], "session_ttl": "2h", "stateless": false, "rate_limit_config": null,
        "mcpserver_generation": 12345678901234567890_u64, "of_a_later_version": {"a": [1]},
    }));
    let Translation { kept, not_implemented, .. } = translated(&value).unwrap();
    let mut named = not_implemented;
    named.sort();
    assert_eq!(named, ["mcpserver_generation", "of_a_later_version", "session_ttl", "tools_filter"]);
    assert_eq!(kept["mcpserver_generation"].get(), "12345678901234567890");
    assert_eq!(kept["stateless"].get(), "false", "also what says nothing");
}

#[test]
fn r07_an_owner_that_the_file_names_is_no_proof() {
    let value = http(&json!({ "runtime_name": "podman", "uid": "1", "labels": {"a": "b"}, "cpus": "many" }));
    let Translation { run, kept, changed, .. } = translated(&value).unwrap();
    assert!(run.owner().is_none() && run.labels.is_empty() && kept.is_empty());
    assert_eq!(changed.len(), 4, "{changed:?}");
}

#[test]
fn a_toolhive_workload_that_this_version_cannot_serve_is_refused() {
    let remote = json!({ "remote_url": "https://example.com/mcp", "name": "far", "image": "" });
    assert!(matches!(translated(&remote), Err(Refusal::Remote { .. })));
    for transport in ["sse", "inspector", "carrier-pigeon"] {
        let refused = translated(&http(&json!({ "transport": transport }))).unwrap_err();
        assert!(refused.to_string().contains(transport));
    }
    assert_eq!(translated(&json!({ "name": "time" })).unwrap_err(), Refusal::NothingToRun);
}

#[test]
fn a_setting_that_changes_its_meaning_in_a_copy_is_reported() {
    let value = json!({ "image": "x", "transport": "stdio", "proxy_mode": "sse", "host": "0.0.0.0", "env_vars": {"MCP_TRANSPORT": "stdio"} });
    let Translation { run, changed, .. } = translated(&value).unwrap();
    assert_eq!((run.host.as_str(), run.proxy_mode), ("127.0.0.1", ProxyMode::StreamableHttp));
    assert_eq!(run.env_vars.len(), 1);
    assert!(changed[0].starts_with("proxy_mode") && changed[1].starts_with("host"), "{changed:?}");
}

#[test]
fn a_port_that_only_the_environment_names_is_found() {
    let value = http(&json!({ "target_port": 0, "env_vars": {"MCP_PORT": "9000"} }));
    assert_eq!(translated(&value).unwrap().run.target_port, 9000);
}

macro_rules! fields_of {
    ($($field:ident)*) => {
        /// The names of the fields of a RunConfig. It does not compile while one is missing below.
        fn fields_of(RunConfig { $($field: _),* }: &RunConfig) -> Vec<&'static str> {
            vec![$(stringify!($field)),*]
        }
    };
}

fields_of! {
    schema_version uid name runtime_name runtime_instance runtime_endpoint runtime_options server image
    transport proxy_mode instances host port proxy_auth unix_socket allowed_origins allowed_hosts
    target_path target_port target_host working_dir cmd_args env_vars secrets volumes labels group user
    pull permission_profile pinned cpus memory_bytes pids_limit allow_weaker container stop_timeout_ms
    restart remote_url created_at imported previous
}

#[test]
fn no_field_of_wharfs_can_come_in_under_another_meaning() {
    let run = translated(&http(&json!({}))).unwrap().run;
    let written = serde_json::to_value(&run).unwrap();
    let fields = fields_of(&run);
    for name in written.as_object().unwrap().keys() {
        assert!(fields.contains(&name.as_str()), "{name} is written, and is the name of no field");
    }
    let mut own = serde_json::Map::new();
    for name in fields {
        let is_translated = TRANSLATED.contains(&name);
        assert!(is_translated || WHARFS_OWN.contains(&name), "{name} is kept as ToolHive spells it");
        if !is_translated {
            own.insert(name.to_owned(), json!("what ToolHive means"));
        }
    }
    let count = own.len();
    let Translation { run: same, kept, not_implemented, changed } =
        translated(&http(&Value::Object(own))).unwrap();
    assert!(kept.is_empty() && not_implemented.is_empty(), "{kept:?}");
    assert_eq!(changed.len(), count, "each that was left out is told: {changed:?}");
    assert_eq!(serde_json::to_value(RunConfig { uid: run.uid.clone(), ..same }).unwrap(), written);
}

/// The files that ToolHive 0.44.0 wrote, with another home folder.
#[test]
fn what_a_real_toolhive_wrote_is_translated_and_mounts_nothing_twice() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tests/fixtures/toolhive/runconfigs");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let Translation { run, .. } = translated(&value).unwrap();
        let profile = run.permission_profile.clone().unwrap_or_default();
        let listed = ["read", "write"].into_iter().flat_map(|field| profile[field].as_array().cloned());
        let listed = listed.flatten().filter_map(|path| path.as_str().map(str::to_owned));
        let places: Vec<String> = run.volumes.iter().cloned().chain(listed).collect();
        let mut inside: Vec<&str> = places.iter().filter_map(|place| place.split(':').nth(1)).collect();
        inside.sort_unstable();
        let count = inside.len();
        inside.dedup();
        assert_eq!(inside.len(), count, "{}: {places:?}", path.display());
        assert_eq!(run.volumes.len(), value["volumes"].as_array().map_or(0, Vec::len), "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 5);
}
