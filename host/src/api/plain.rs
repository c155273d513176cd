//! The document in forms that generators of clients read, with the bounds that the code sets.
//!
//! Called when the document is put together. Changes words about types, and no type.
use crate::api::schemas::each_object;
use crate::api::state::MAX_KEY_BYTES;
use crate::commands::GROUP_BYTES_MAX;
use serde_json::{Map, Value, json};
use wharf_model::NAME_LENGTH_MAX;

/// As of `WorkloadName`.
const WORKLOAD: &str = "[a-z0-9][a-z0-9-]*";
/// As of `check_group`.
const GROUP: &str = "[a-z0-9][a-z0-9_-]*";
/// The routes whose part `name` is that of a workload.
const WORKLOADS: &str = "/api/v1beta/workloads/";

/// Makes the document plain.
pub(crate) fn make_plain(document: &mut Value) {
    each_object(document, &mut name_format);
    if let Some(schemas) = document.pointer_mut("/components/schemas") {
        each_object(schemas, &mut simplify);
    }
    for (place, bounds) in bounds() {
        if let (Some(Value::Object(schema)), Value::Object(bounds)) = (document.pointer_mut(place), bounds) {
            schema.extend(bounds);
        }
    }
    bound_parameters(document);
}

/// Writes the format of a number without a sign as the registry of OpenAPI has it; `utoipa` 5 writes `u-int16`.
fn name_format(members: &mut Map<String, Value>) {
    let format = members.get("format").and_then(Value::as_str);
    if let Some(bits) = format.and_then(|format| format.strip_prefix("u-int")) {
        let registered = json!(format!("uint{bits}"));
        members.insert("format".to_owned(), registered);
    }
}

fn simplify(members: &mut Map<String, Value>) {
    fold_words(members);
    tell_defaults(members);
    if members.get("format").is_some_and(|format| format == "uint16") {
        members.entry("maximum").or_insert_with(|| json!(u16::MAX));
    }
}

/// One of several words is an `enum`: many generators cannot read a `oneOf` with a `const` for each. What the words mean is
/// told in the description.
fn fold_words(members: &mut Map<String, Value>) {
    let Some(Value::Array(forms)) = members.get("oneOf") else { return };
    let Some(words) = forms.iter().map(words_of).collect::<Option<Vec<_>>>() else { return };
    let words = words.concat();
    if words.is_empty() {
        return;
    }
    let mut description = text(members.get("description"));
    let told = words.iter().filter(|(_, meaning)| !meaning.is_empty());
    let told: Vec<String> = told.map(|(word, meaning)| format!("- `{word}`: {meaning}")).collect();
    if !told.is_empty() {
        let gap = if description.is_empty() { "" } else { "\n\n" };
        description = format!("{description}{gap}{}", told.join("\n"));
    }
    let words: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
    members.remove("oneOf");
    members.insert("type".to_owned(), json!("string"));
    members.insert("enum".to_owned(), json!(words));
    if !description.is_empty() {
        members.insert("description".to_owned(), Value::String(description));
    }
}

/// The words that a form stands for, each with its meaning; none if it stands for something else.
fn words_of(form: &Value) -> Option<Vec<(String, String)>> {
    let words = match (form.get("const"), form.get("enum")) {
        (Some(word), None) => std::slice::from_ref(word),
        (None, Some(Value::Array(words))) => words.as_slice(),
        _ => return None,
    };
    let meaning = text(form.get("description"));
    words.iter().map(|word| Some((word.as_str()?.to_owned(), meaning.clone()))).collect()
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A member that may be left out has no `default`, of which generators conclude that it is always there: its description
/// tells it.
fn tell_defaults(members: &mut Map<String, Value>) {
    let required = members.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|it| it == name));
    let Some(Value::Object(properties)) = members.get_mut("properties") else { return };
    for (name, form) in properties {
        let Some(form) = form.as_object_mut() else { continue };
        let Some(default) = form.remove("default") else { continue };
        if says_nothing(&default) || is_required(name) {
            continue;
        }
        let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        let description = text(form.get("description"));
        let description = format!("{description} Where nothing is said: `{default}`.");
        form.insert("description".to_owned(), Value::String(description.trim_start().to_owned()));
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

fn named(pattern: &str, longest: usize) -> Value {
    json!({ "pattern": format!("^{pattern}$"), "maxLength": longest })
}

/// The same, of a field that ToolHive's clients leave empty where they say nothing.
fn named_or_empty(pattern: &str, longest: usize) -> Value {
    json!({ "pattern": format!("^({pattern})?$"), "maxLength": longest })
}

/// More words of some schemas, by their places.
fn bounds() -> [(&'static str, Value); 4] {
    [
        ("/components/schemas/WorkloadName", named(WORKLOAD, NAME_LENGTH_MAX)),
        ("/components/schemas/NewGroup/properties/name", named(GROUP, GROUP_BYTES_MAX)),
        ("/components/schemas/Described/properties/name", named_or_empty(WORKLOAD, NAME_LENGTH_MAX)),
        ("/components/schemas/Described/properties/group", named_or_empty(GROUP, GROUP_BYTES_MAX)),
    ]
}

fn bound_parameters(document: &mut Value) {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, methods) in paths.into_iter().flatten() {
        let is_of_workloads = path.starts_with(WORKLOADS);
        for (_, operation) in methods.as_object_mut().into_iter().flatten() {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten() {
                let bounds = match (parameter["in"].as_str(), parameter["name"].as_str()) {
                    (Some("header"), Some("Idempotency-Key")) => named("[!-~]+", MAX_KEY_BYTES),
                    (Some("path"), Some("name")) if is_of_workloads => named(WORKLOAD, NAME_LENGTH_MAX),
                    _ => continue,
                };
                parameter["schema"] = bounds;
                parameter["schema"]["type"] = json!("string");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::document;
    use crate::commands::check_group;
    use wharf_model::{EffectiveState, WorkloadName};

    /// Calls `check` with each object of a document, and the place where it is.
    fn each(value: &Value, place: &str, check: &mut dyn FnMut(&str, &Map<String, Value>)) {
        match value {
            Value::Object(members) => {
                check(place, members);
                members.iter().for_each(|(name, value)| each(value, &format!("{place}/{name}"), check));
            }
            Value::Array(items) => items.iter().for_each(|item| each(item, &format!("{place}/*"), check)),
            _ => {}
        }
    }

    fn parameters(document: &Value, id: &str) -> Vec<(String, Value)> {
        let operations = document["paths"].as_object().unwrap().values();
        let mut operations = operations.flat_map(|methods| methods.as_object().unwrap().values());
        let operation = operations.find(|operation| operation["operationId"] == id).unwrap();
        let parameters = operation["parameters"].as_array().unwrap().iter();
        parameters.map(|it| (text(it.get("name")), it["schema"].clone())).collect()
    }

    #[test]
    fn words_are_enums_with_their_meanings_and_members_have_no_default() {
        let document = document();
        each(&document["components"]["schemas"], "", &mut |place, members| {
            let forms = members.get("oneOf").and_then(Value::as_array);
            let is_word = |form: &Value| form.get("const").is_some();
            assert!(!forms.is_some_and(|forms| forms.iter().any(is_word)), "{place} is a oneOf of words");
            assert!(!members.contains_key("default"), "{place} has a default");
        });
        let schemas = &document["components"]["schemas"];
        let words = schemas["EffectiveState"]["enum"].as_array().unwrap();
        let mut told: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        let mut wanted: Vec<&str> = EffectiveState::ALL.iter().map(|state| state.as_str()).collect();
        told.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(told, wanted);
        let about = schemas["Desired"]["description"].as_str().unwrap();
        assert_eq!(
            about,
            "The user's wish for a workload.\n\n- `running`: It should run.\n- `stopped`: It should not."
        );
        let port = &schemas["Described"]["properties"]["proxy_port"];
        assert_eq!((&port["maximum"], &port["format"]), (&json!(65535), &json!("uint16")));
        assert!(port["description"].as_str().unwrap().ends_with("Where nothing is said: `0`."), "{port}");
    }

    #[test]
    fn bounds_are_those_of_the_code() {
        let document = document();
        for (place, bounds) in bounds() {
            let schema = document.pointer(place).unwrap();
            assert_eq!(schema["pattern"], bounds["pattern"], "{place}");
            assert_eq!(schema["maxLength"], bounds["maxLength"], "{place}");
        }
        // The patterns in words: which characters may begin a name, and which may follow.
        for character in (0..=u8::MAX).map(char::from) {
            let alone = character.to_string();
            let behind = format!("a{character}");
            let begins = matches!(character, 'a'..='z' | '0'..='9');
            assert_eq!(WorkloadName::new(alone.as_str()).is_ok(), begins, "{alone:?}");
            assert_eq!(check_group(&alone).is_ok(), begins, "{alone:?}");
            assert_eq!(WorkloadName::new(behind.as_str()).is_ok(), begins || character == '-', "{behind:?}");
            assert_eq!(check_group(&behind).is_ok(), begins || matches!(character, '-' | '_'), "{behind:?}");
        }
        let of = |id: &str, name: &str| {
            parameters(&document, id).into_iter().find(|(it, _)| it == name).map(|(_, schema)| schema)
        };
        for id in ["createWorkload", "startWorkload", "startWorkloads"] {
            assert!(of(id, "wait").is_some() && of(id, "timeout").is_none(), "{id}");
        }
        for id in ["stopWorkload", "restartWorkloads", "removeWorkload", "editWorkload"] {
            let timeout = of(id, "timeout").unwrap();
            let range = ["minimum", "maximum"].map(|end| timeout[end].as_f64());
            assert_eq!(range, [Some(0.0), Some(86400.0)], "{id}");
        }
        assert_eq!(of("getWorkloadLog", "tail").unwrap()["format"], "uint64");
        let key = of("createWorkload", "Idempotency-Key").unwrap();
        assert_eq!(key, json!({ "type": "string", "pattern": "^[!-~]+$", "maxLength": MAX_KEY_BYTES }));
        let name = of("stopWorkload", "name").unwrap();
        assert_eq!(name["pattern"], "^[a-z0-9][a-z0-9-]*$");
    }
}
