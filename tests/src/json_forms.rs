//! The results of commands as JSON, held to `docs/json.schema.json`: every output of a [`crate::host::Host`]'s commands goes
//! through here.
//!
//! The schema is closed first: a key that it does not name is a mistake of ours, though readers are to ignore it.
use crate::host::Said;
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::OnceLock;

const NAME: &str = "wharf:///json.schema.json";
const ERROR: &str = "error";

struct Forms {
    schemas: Schemas,
    by_command: BTreeMap<String, SchemaIndex>,
}

fn forms() -> &'static Forms {
    static FORMS: OnceLock<Forms> = OnceLock::new();
    FORMS.get_or_init(|| {
        let text = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.schema.json"));
        let mut schema: Value =
            serde_json::from_slice(&text.expect("the schema can be read")).expect("the schema is JSON");
        close(&mut schema);
        let commands: Vec<String> =
            schema["commands"].as_object().expect("forms by command").keys().cloned().collect();
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        compiler.enable_format_assertions();
        compiler.add_resource(NAME, schema).expect("a schema has a name");
        let mut compile = |place: String| {
            let place = format!("{NAME}#/{}", place.replace(' ', "%20"));
            compiler.compile(&place, &mut schemas).expect("the schema can be compiled")
        };
        let mut by_command: BTreeMap<_, _> =
            commands.into_iter().map(|name| (name.clone(), compile(format!("commands/{name}")))).collect();
        by_command.insert(ERROR.to_owned(), compile(ERROR.to_owned()));
        Forms { schemas, by_command }
    })
}

/// Allows no key that is not named.
fn close(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    let is_object = members.contains_key("properties");
    if is_object && !members.contains_key("additionalProperties") {
        members.insert("unevaluatedProperties".to_owned(), json!(false));
    }
    for (key, inner) in members {
        match inner {
            // The alternatives of one object know a part of its keys each.
            Value::Array(alternatives) if !is_object || key != "oneOf" => {
                alternatives.iter_mut().for_each(close);
            }
            inner => close(inner),
        }
    }
}

/// All forms: commands, and `error`.
pub fn names() -> impl Iterator<Item = &'static str> {
    forms().by_command.keys().map(String::as_str)
}

/// Fails unless this has the form.
///
/// # Panics
/// It has not, or there is no such form.
pub fn assert_form(name: &str, value: &Value) {
    let Forms { schemas, by_command } = forms();
    let form =
        by_command.get(name).unwrap_or_else(|| panic!("{name:?} has no form in docs/json.schema.json"));
    if let Err(error) = schemas.validate(value, *form) {
        panic!("{name} does not print what docs/json.schema.json says: {error}\n{value:#}");
    }
}

/// The form that a command's result has; none where it is asked for something else.
fn form_of(args: &[&str]) -> Option<String> {
    let format = match args.iter().position(|arg| *arg == "--format") {
        Some(at) => args.get(at + 1).copied(),
        None => args.iter().find_map(|arg| arg.strip_prefix("--format=")),
    };
    let commands = || names().filter(|name| *name != ERROR);
    let words = |count: usize| args.get(..count).map(|words| words.join(" "));
    let command = [2, 1].into_iter().filter_map(words).find(|words| commands().any(|name| name == words))?;
    match (command.as_str(), format) {
        ("export", _) if !args.contains(&"--output") && !args.contains(&"-o") => Some(command),
        ("list", Some("mcpservers")) => Some("list --format mcpservers".to_owned()),
        ("runtime test", Some("json")) if args.contains(&"--list") => Some("runtime test --list".to_owned()),
        (_, Some("json")) => Some(command),
        _ => None,
    }
}

/// Fails unless a command that ended has printed what its form says; tells which form was found.
///
/// # Panics
/// It has not.
pub fn check(args: &[&str], said: &Said) -> Option<String> {
    let form = form_of(args)?;
    if let Ok(value) = serde_json::from_str(&said.stdout) {
        assert_form(&form, &value);
        return Some(form);
    }
    assert_ne!(said.code, 0, "wharf {args:?} prints no JSON: {said:?}");
    let last = said.stderr.lines().last().unwrap_or_default();
    let value = serde_json::from_str(last).ok()?;
    assert_form(ERROR, &value);
    Some(ERROR.to_owned())
}
