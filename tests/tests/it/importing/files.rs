//! The contents of ToolHive's files, and files without usable contents.
use super::{IMAGE, has_records, host};
use serde_json::json;
use std::fs;
use wharf_tests::engine::{State, toolhives};
use wharf_tests::host::Host;
use wharf_tests::toolhive::{ToolHive, about};

#[test]
fn an_import_copies_each_setting_or_names_it_as_not_copied() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    let more = json!({
        "group": "mine", "cmd_args": ["--a"], "volumes": ["/a:/b:ro"],
        "env_vars": {"MCP_TRANSPORT": "stdio", "A": "b"}, "secrets": ["token,target=API_TOKEN"],
        "container_labels": {"toolhive": "true", "toolhive-name": "time", "team": "web"},
        "tools_filter": ["now"], "session_ttl": "2h", "trust_proxy_headers": false,
        "middleware_configs": [{"type": "audit", "parameters": {"n": 12345678901234567890_u64}}],
        "registry_url": "https://example.com", "runtime_name": "podman", "host": "0.0.0.0",
        "isolate_network": true, "permission_profile": {"network": {"outbound": {"allow_host": ["example.com"]}}},
    });
    toolhive.workload("time", IMAGE, &more);
    toolhive.group("mine", br#"{"name": "mine", "registered_clients": ["an-editor"]}"#);
    engine.put(&toolhives("time", State::Running, engine.first_name()));
    let report = about(&toolhive.reports(&[]), "time").clone();
    assert_eq!(report["result"], "imported", "{report}");
    let config = host.run_config("time");
    for (field, value) in [
        ("group", json!("mine")),
        ("cmd_args", json!(["--a"])),
        ("volumes", json!(["/a:/b:ro"])),
        ("env_vars", json!({"MCP_TRANSPORT": "stdio", "A": "b"})),
        ("secrets", json!(["token,target=API_TOKEN"])),
        ("labels", json!({"team": "web"})),
        ("image", json!(IMAGE)),
        ("host", json!("127.0.0.1")),
        ("permission_profile", more["permission_profile"].clone()),
        ("tools_filter", json!(["now"])),
        ("middleware_configs", more["middleware_configs"].clone()),
        ("trust_proxy_headers", json!(false)),
        ("isolate_network", json!(true)),
    ] {
        assert_eq!(config[field], value, "{field}");
    }
    assert_ne!(config["runtime_name"], "podman", "an owner is proven, not read");
    let mut named: Vec<_> =
        report["not_implemented"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    named.sort_unstable();
    assert_eq!(named, ["middleware_configs", "registry_url", "session_ttl", "tools_filter"]);
    let changed = report["changed"].to_string();
    for word in ["host: ", "token", "an-editor", "runtime_name"] {
        assert!(changed.contains(word), "{word}: {changed}");
    }
    let text = fs::read_to_string(host.path("state/runconfigs/time.json")).unwrap();
    assert!(text.contains("12345678901234567890"), "numbers stay as they are spelled: {text}");
    // A rewrite keeps all of it.
    host.ok(&["adopt", "time", "--runtime", super::IMAGES, "--rebind"]);
    assert_eq!(host.run_config("time"), config);
}

/// A copy that cannot be started is told when it is made, not when it is needed.
#[test]
fn a_copy_that_could_not_be_started_is_reported_as_that() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    toolhive.workload("fine", IMAGE, &json!({}));
    toolhive.workload("odd", IMAGE, &json!({ "permission_profile": {"gpu": true} }));
    for name in ["fine", "odd"] {
        engine.put(&toolhives(name, State::Running, engine.first_name()));
    }
    for options in [&["--dry-run"][..], &[]] {
        let reports = toolhive.reports(options);
        assert!(about(&reports, "fine").get("would_not_start").is_none(), "{reports:?}");
        let why = about(&reports, "odd")["would_not_start"].as_str().unwrap().to_owned();
        assert!(why.contains("gpu"), "{why}");
    }
    let said = host.wharf(&["start", "odd"]);
    assert!(said.code != 0 && said.stderr.contains("gpu"), "{said:?}");
}

#[test]
fn files_that_make_no_sense_are_named_and_stop_no_other() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    toolhive.workload("time", IMAGE, &json!({}));
    engine.put(&toolhives("time", State::Running, engine.first_name()));
    let huge = vec![b' '; 2 << 20];
    let bad: [(&str, &[u8], &str); 9] = [
        ("empty", b"", "cannot be understood"),
        ("cut", br#"{"image": "x", "na"#, "cannot be understood"),
        ("list", b"[]", "cannot be understood"),
        ("bytes", b"\xff\x00", "cannot be understood"),
        ("typed", br#"{"image": "x", "port": "many"}"#, "cannot be understood"),
        ("newer", br#"{"schema_version": "v9.1.0", "image": "x"}"#, "v9.1.0"),
        ("huge", &huge, "bytes"),
        ("moved", br#"{"image": "x", "base_name": "other"}"#, "other"),
        ("none", br#"{"schema_version": "v0.1.0"}"#, "neither an image"),
    ];
    for (name, bytes, _) in &bad {
        toolhive.write(name, bytes);
    }
    std::os::unix::fs::symlink("/nowhere", toolhive.run_configs().join("link.json")).unwrap();
    fs::create_dir(toolhive.run_configs().join("folder.json")).unwrap();
    fs::create_dir(toolhive.run_configs().join(".temporary.json")).unwrap();
    toolhive.group("broken", b"{");
    toolhive.status("time", b"{");
    let reports = toolhive.reports(&[]);
    for (name, _, why) in &bad {
        let report = about(&reports, name);
        let wanted = if *name == "none" { "left_alone" } else { "malformed" };
        assert_eq!(report["result"], wanted, "{report}");
        assert!(report["reason"].as_str().unwrap().contains(why), "{report}");
    }
    for name in ["link", "folder", "groups/broken.json"] {
        assert_eq!(about(&reports, name)["result"], "malformed");
    }
    assert_eq!(reports.len(), bad.len() + 4, "{reports:#?}");
    let time = about(&reports, "time");
    assert_eq!(time["result"], "imported", "{time}");
    assert!(time["changed"].to_string().contains("status file"), "{time}");
}

#[test]
fn r03_remote_workloads_need_no_proof_and_are_left_while_wharf_cannot_serve_them() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    toolhive.workload(
        "far",
        "",
        &json!({ "remote_url": "https://example.com/mcp", "transport": "streamable-http" }),
    );
    toolhive.workload("board", IMAGE, &json!({ "transport": "inspector" }));
    toolhive.workload("old", IMAGE, &json!({ "transport": "sse" }));
    let reports = toolhive.reports(&[]);
    for (name, why) in [("far", "https://example.com/mcp"), ("board", "inspector"), ("old", "sse")] {
        let report = about(&reports, name);
        assert_eq!(report["result"], "left_alone", "{report}");
        assert!(report["reason"].as_str().unwrap().contains(why), "{report}");
    }
    assert_eq!(engine.count("discover"), 0, "nobody is asked where there is nothing to prove");
    assert!(!has_records(&host));
}

#[test]
fn imported_names_are_made_valid_and_existing_workloads_are_kept() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    host.run(&["--name", "taken", &wharf_tests::host::demo_server()]);
    for name in ["Time.Server", "time-server", "time_server", "X", "taken"] {
        toolhive.workload(name, IMAGE, &json!({}));
        engine.put(&toolhives(name, State::Stopped, engine.first_name()));
    }
    let rehearsed = toolhive.reports(&["--dry-run"]);
    let reports = toolhive.reports(&[]);
    for report in &reports {
        assert_eq!(about(&rehearsed, report["source"].as_str().unwrap())["name"], report["name"]);
    }
    let names = [
        ("time-server", "time-server"),
        ("Time.Server", "time-server-2"),
        ("time_server", "time-server-3"),
        ("X", "x"),
    ];
    for (source, name) in names {
        let report = about(&reports, source);
        assert_eq!((&report["result"], &report["name"]), (&json!("imported"), &json!(name)), "{report}");
        assert_eq!(host.run_config(name)["imported"]["name"], source);
    }
    let taken = about(&reports, "taken");
    assert!(
        taken["result"] == "skipped" && taken["reason"].as_str().unwrap().contains("another workload"),
        "{taken}"
    );
    assert_eq!(host.row("taken").unwrap()["status"], "running");
    let again = toolhive.reports(&[]);
    assert!(again.iter().all(|report| report["result"] == "skipped"), "{again:#?}");
    let text = toolhive.import(&[]).stdout;
    assert!(text.contains("Time.Server: skipped as time-server-2: it was imported before"), "{text}");
}

#[test]
fn without_toolhive_there_is_nothing_to_do() {
    let host = Host::new();
    let toolhive = ToolHive::of(&host);
    let said = toolhive.import(&[]);
    assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{said:?}");
    assert!(said.stderr.contains("no workloads"), "{said:?}");
    assert!(!host.path("state").exists());
}
