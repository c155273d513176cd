//! The forms of all results as JSON, made of the very types that are printed: `docs/json.schema.json`, and
//! the tables of `docs/json.md`. `WHARF_UPDATE_SCHEMA=1` writes both anew.
//!
//! The integration tests hold every output that they read to the schema.
use super::bulk::Report;
use super::console::Reported;
use super::doctor::Diagnosis;
use super::list::McpServers;
use super::runtime::{Details, Found};
use super::runtime_check::Tried;
use super::runtime_test::Listed;
use super::url::Shown;
use super::version::Versions;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};
use wharf::commands::{Adopted, Edited, Import, Reconciled, Started, StatusReport, WorkloadView};
use wharf::commands::{Called, ServerPrompt, ServerResource, ServerTool};
use wharf::conformance::Report as ConformanceReport;
use wharf_model::RunConfig;

const BEGIN: &str = "<!-- made of the types; a test writes it with WHARF_UPDATE_SCHEMA=1 -->\n";
const END: &str = "<!-- the end of what is made -->\n";

/// The forms by command, in the order in which they are told.
struct Forms {
    generator: SchemaGenerator,
    commands: Vec<(&'static str, Value)>,
}

impl Forms {
    fn add<T: JsonSchema>(&mut self, commands: &[&'static str]) {
        for command in commands {
            let form = self.generator.subschema_for::<T>().to_value();
            self.commands.push((command, form));
        }
    }

    fn all() -> Self {
        // As it is written: a key that may be left out is not required.
        let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        let mut forms = Self { generator, commands: Vec::new() };
        forms.add::<Started>(&["run"]);
        forms.add::<Vec<WorkloadView>>(&["list"]);
        forms.add::<McpServers<'_>>(&["list --format mcpservers"]);
        forms.add::<StatusReport>(&["status"]);
        forms.add::<Shown<'_>>(&["url"]);
        forms.add::<Edited>(&["edit"]);
        forms.add::<Vec<Report>>(&["start", "restart", "stop", "rm"]);
        forms.add::<Vec<ServerTool>>(&["tools"]);
        forms.add::<Called>(&["call"]);
        forms.add::<Vec<ServerResource>>(&["resources"]);
        forms.add::<Vec<ServerPrompt>>(&["prompts"]);
        forms.add::<RunConfig>(&["export"]);
        forms.add::<Vec<Reconciled>>(&["reconcile"]);
        forms.add::<Adopted>(&["adopt"]);
        forms.add::<Vec<Import>>(&["import toolhive"]);
        forms.add::<Vec<Found<'_>>>(&["runtime list"]);
        forms.add::<Details<'_>>(&["runtime info"]);
        forms.add::<Vec<Tried>>(&["runtime check"]);
        forms.add::<ConformanceReport>(&["runtime test"]);
        forms.add::<Vec<Listed>>(&["runtime test --list"]);
        forms.add::<Diagnosis>(&["doctor"]);
        forms.add::<Versions>(&["version"]);
        forms
    }

    fn schema(mut self) -> Value {
        let error = self.generator.subschema_for::<Reported<'_>>().to_value();
        let mut commands: Map<String, Value> =
            self.commands.into_iter().map(|(name, form)| (name.to_owned(), form)).collect();
        let mut defs = Value::Object(self.generator.take_definitions(true));
        commands.values_mut().for_each(refine);
        refine(&mut defs);
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "What the commands of wharf print as JSON",
            "description": "Made of the types (host/src/cli/json_forms.rs); do not edit. docs/json.md explains it.",
            "commands": commands,
            "error": error,
            "$defs": defs,
        })
    }
}

/// A key that may be left out is left out instead of being null; and links of the code's documentation mean nothing to
/// readers of the schema.
fn refine(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(refine),
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = plain(text);
            }
            let required = members.get("required").cloned().unwrap_or(Value::Null);
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                let may_be_absent = properties.iter_mut().filter(|(key, _)| !holds(&required, key));
                may_be_absent.for_each(|(_, form)| no_null(form));
            }
            members.values_mut().for_each(refine);
        }
        _ => {}
    }
}

fn is_required(form: &Value, key: &str) -> bool {
    holds(&form["required"], key)
}

fn holds(keys: &Value, key: &str) -> bool {
    keys.as_array().is_some_and(|keys| keys.iter().any(|it| it == key))
}

fn plain(text: &str) -> String {
    let first = text.split("\n\n").next().unwrap_or(text);
    first.replace('\n', " ").replace("[`", "`").replace("`]", "`")
}

fn no_null(form: &mut Value) {
    if let Some(types) = form.get_mut("type").filter(|types| types.is_array()) {
        let left: Vec<Value> =
            types.as_array().into_iter().flatten().filter(|kind| **kind != "null").cloned().collect();
        *types = if left.len() == 1 { left[0].clone() } else { Value::Array(left) };
    }
    let Some(members) = form.as_object_mut() else { return };
    if let Some(Value::Array(mut forms)) = members.remove("anyOf") {
        forms.retain(|form| form["type"] != "null");
        match (forms.pop(), forms.is_empty()) {
            (Some(Value::Object(only)), true) => members.extend(only),
            (last, _) => {
                forms.extend(last);
                members.insert("anyOf".to_owned(), Value::Array(forms));
            }
        }
    }
}

/// The schema for readers: each command's form, then each form that these are made of.
fn tables(order: &[&str], schema: &Value) -> String {
    let mut text = String::from("| command | prints |\n|---|---|\n");
    for command in order {
        let _ = writeln!(text, "| `{command}` | {} |", kind(&schema["commands"][*command]));
    }
    let _ = writeln!(text, "| any that fails, on stderr | {} |", kind(&schema["error"]));
    for (name, form) in sorted(&schema["$defs"]) {
        let _ = write!(text, "\n### {name}\n\n{}\n\n", said(form));
        if let Some(forms) = form["oneOf"].as_array().filter(|_| form["properties"].is_null()) {
            alternatives(&mut text, forms);
        } else if form["properties"].is_object() {
            members(&mut text, form);
        } else {
            let _ = writeln!(text, "It is {}.", kind(form));
        }
    }
    text
}

fn members(text: &mut String, form: &Value) {
    text.push_str("| key | is | |\n|---|---|---|\n");
    for (key, member) in sorted(&form["properties"]) {
        let absent = if is_required(form, key) { "" } else { ", or absent" };
        let _ = writeln!(text, "| `{key}` | {}{absent} | {} |", kind(member), said(member));
    }
    for alternative in form["oneOf"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "| {} | | {} |", keys(alternative), said(alternative));
    }
}

/// One of several words, or one of several objects that a key tells apart.
fn alternatives(text: &mut String, forms: &[Value]) {
    text.push_str("| one of | |\n|---|---|\n");
    for form in forms {
        if let Some(words) = form["enum"].as_array() {
            for word in words {
                let _ = writeln!(text, "| {} | |", code(word));
            }
        } else {
            let told = if form["const"].is_null() { keys(form) } else { code(&form["const"]) };
            let _ = writeln!(text, "| {told} | {} |", said(form));
        }
    }
}

fn keys(form: &Value) -> String {
    let properties = sorted(&form["properties"]);
    let key = |(key, member): (&String, &Value)| match &member["const"] {
        Value::Null if is_required(form, key) => format!("`{key}`: {}", kind(member)),
        Value::Null => format!("`{key}`: {}, or absent", kind(member)),
        word => format!("`{key}`: {}", code(word)),
    };
    // The one that tells them apart goes first.
    let (first, others): (Vec<_>, Vec<_>) =
        properties.into_iter().partition(|(_, member)| !member["const"].is_null());
    first.into_iter().chain(others).map(key).collect::<Vec<_>>().join(", ")
}

/// The members of an object by their names: their order in memory follows serde_json's features, which other packages of
/// a build choose.
fn sorted(object: &Value) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = object.as_object().into_iter().flatten().collect();
    members.sort_unstable_by_key(|(key, _)| *key);
    members
}

fn code(word: &Value) -> String {
    format!("`{}`", word.as_str().unwrap_or_default())
}

/// A form in a few words, for a cell of a table.
fn kind(form: &Value) -> String {
    if let Some(name) = form["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(words) = form["enum"].as_array() {
        return words.iter().map(code).collect::<Vec<_>>().join(", ");
    }
    match (form["type"].as_str(), form["format"].as_str()) {
        (Some("array"), _) => format!("array of {}", kind(&form["items"])),
        (Some("object"), _) if form["additionalProperties"].is_object() => {
            format!("object of {}", kind(&form["additionalProperties"]))
        }
        (Some("string"), Some("date-time")) => "time".to_owned(),
        (Some("string"), _) => "text".to_owned(),
        (Some("integer" | "number"), _) => "number".to_owned(),
        (Some("boolean"), _) => "boolean".to_owned(),
        (Some(other), _) => other.to_owned(),
        (None, _) => "anything".to_owned(),
    }
}

fn said(form: &Value) -> String {
    form["description"].as_str().unwrap_or_default().replace('|', "\\|")
}

fn write(path: &Path, text: &str) {
    fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).unwrap();
}

#[test]
fn the_published_forms_are_those_of_the_types() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let paths: [PathBuf; 2] = ["json.schema.json", "json.md"].map(|name| docs.join(name));
    let forms = Forms::all();
    let order: Vec<&str> = forms.commands.iter().map(|(name, _)| *name).collect();
    let schema = forms.schema();
    let tables = tables(&order, &schema);
    let page = fs::read_to_string(&paths[1]).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (published, after) = rest.split_once(END).unwrap();
    if env::var_os("WHARF_UPDATE_SCHEMA").is_some() {
        write(&paths[0], &format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()));
        write(&paths[1], &format!("{before}{BEGIN}{tables}{END}{after}"));
        return;
    }
    let how = "run: WHARF_UPDATE_SCHEMA=1 cargo test -p wharf --bin wharf json_forms";
    // By value: the order of the keys follows serde_json's features, which other packages of a build choose.
    let written: Value = serde_json::from_str(&fs::read_to_string(&paths[0]).unwrap()).unwrap();
    assert!(written == schema, "docs/json.schema.json is not what the types are; {how}");
    assert_eq!(published, tables, "docs/json.md is not what the types are; {how}");
}
