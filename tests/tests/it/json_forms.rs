//! Everything that is printed as JSON has the documented form.
//!
//! All other tests hold what they read to `docs/json.schema.json`, too (`wharf_tests::json_forms`); this one tries each form.
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wharf_tests::engine::{ScriptedEngine, State, toolhives};
use wharf_tests::host::{Host, Said, demo_server};
use wharf_tests::json_forms::{check, names};
use wharf_tests::mcp::server_with_resources;
use wharf_tests::toolhive::ToolHive;

/// A runtime that runs images.
const IMAGES: &str = "scripted-images";

/// Everything that was printed, and the forms that it had.
struct Tried<'h> {
    host: &'h Host,
    forms: BTreeSet<String>,
}

impl Tried<'_> {
    /// The output of a command with `--format json`.
    fn json(&mut self, args: &[&str]) -> Value {
        self.printed(&[args, &["--format", "json"]].concat())
    }

    fn printed(&mut self, args: &[&str]) -> Value {
        let said = self.host.wharf(args);
        self.said(args, &said)
    }

    fn said(&mut self, args: &[&str], said: &Said) -> Value {
        let form = check(args, said).unwrap_or_else(|| panic!("wharf {args:?} has no form: {said:?}"));
        self.forms.insert(form);
        let stdout = serde_json::from_str(&said.stdout).ok();
        stdout
            .or_else(|| serde_json::from_str(said.stderr.lines().last()?).ok())
            .expect("one of both is JSON")
    }
}

#[test]
fn every_command_prints_what_its_form_says() {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, IMAGES);
    let mut tried = Tried { host: &host, forms: BTreeSet::new() };
    let server = demo_server();
    let run =
        ["run", "--runtime", "process", "--auth", "bearer", "--unix-socket", "-l", "a=b", "--name", "demo"];
    let started = tried.printed(&[&run[..], &["--env", "A=b", "--format", "json", &server]].concat());
    assert_eq!(started["name"], "demo");
    let status = tried.json(&["status", "demo"]);
    for part in ["recorded", "confinement", "supervisor"] {
        assert!(status[part].is_object(), "{part}: {status:#}");
    }
    assert!(tried.json(&["url", "demo", "--token"])["token"].is_string());
    assert!(tried.json(&["list"])[0]["url"].is_string());
    let servers = tried.printed(&["list", "--format", "mcpservers"]);
    assert!(servers["mcpServers"]["demo"]["headers"].is_object(), "{servers}");
    assert_eq!(tried.printed(&["export", "demo"])["labels"], json!({ "a": "b" }));
    assert_eq!(tried.json(&["start", "demo"])[0]["result"], "already_running");
    assert_eq!(tried.json(&["restart", "demo"])[0]["result"], "restarted");
    assert_eq!(tried.json(&["edit", "demo", "-e", "A=c"])["result"], "restarted");
    assert!(tried.json(&["tools", "demo"])[0]["input_schema"].is_object());
    assert_eq!(tried.json(&["call", "demo", "add", "a=1", "b=2"])["content"][0]["text"], "3");
    host.run(&["--runtime", "process", "--name", "catalogue", &server_with_resources(&host)]);
    assert_eq!(tried.json(&["resources", "catalogue"])[0]["uri"], "demo://a");
    assert_eq!(tried.json(&["prompts", "catalogue"])[0]["name"], "greet");
    host.ok(&["rm", "catalogue"]);
    assert_eq!(tried.json(&["reconcile"])[0]["result"], "in_order");
    host.change_run_config("demo", |config| config["runtime_name"] = json!(""));
    assert_eq!(tried.json(&["adopt", "demo"])["runtime_name"], "process");
    assert_eq!(tried.json(&["stop", "demo", "nobody"])[1]["error"]["kind"], "not_found");
    assert_eq!(tried.json(&["rm", "demo"])[0]["result"], "removed");
    let refused = tried.json(&["status", "demo"]);
    assert_eq!(refused["error"]["advice"][0]["do"], "list_workloads", "{refused}");

    let toolhive = ToolHive::of(&host);
    engine.put(&toolhives("runs", State::Running, engine.first_name()));
    for name in ["runs", "gone"] {
        toolhive.workload(name, "example/scripted:1", &json!({}));
    }
    let said = toolhive.import(&["--format", "json"]);
    let imported = tried.said(&["import", "toolhive", "--format", "json"], &said);
    assert_eq!(imported.as_array().map(Vec::len), Some(2), "{imported:#}");

    assert!(tried.json(&["runtime", "list"]).as_array().is_some_and(|found| found.len() > 1));
    assert_eq!(tried.json(&["runtime", "info", "process"])["name"], "process");
    assert!(tried.json(&["runtime", "check", "process"])[0]["confinement"].is_object());
    let library = host.add_library("wharf-plugin-process").display().to_string();
    let cases = tried.json(&["runtime", "test", "--list"]);
    let chosen = cases[0]["id"].as_str().unwrap();
    let report = tried.json(&["runtime", "test", &library, "--filter", chosen]);
    assert_eq!(report["cases"][0]["result"], "passed", "{report:#}");
    assert!(tried.json(&["doctor"])["checks"].is_array());
    assert!(tried.json(&["version"])["abi"].is_string());

    let all: BTreeSet<String> = names().map(str::to_owned).collect();
    assert_eq!(tried.forms, all, "each form was printed once at least");
}
