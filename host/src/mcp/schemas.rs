//! JSON Schemas of the tools' arguments and results, from the types that REST and `--format json` have.
use crate::api::{document, move_references};
use rmcp::model::JsonObject;
use serde_json::{Value, json};
use utoipa::PartialSchema;

/// Where the document of the REST API has its types, and where a schema has its own.
const PLACES: [&str; 2] = ["#/components/schemas/", "#/$defs/"];

/// The schema of a type of the REST API or of `--format json`, with all that it refers to.
pub(super) fn shared(name: &str) -> JsonObject {
    let document = document();
    let mut schema = document["components"]["schemas"][name].clone();
    complete(&mut schema, &document);
    object(schema)
}

/// An object of one array of such types.
pub(super) fn array_of(member: &str, name: &str) -> JsonObject {
    let reference = format!("{}{name}", PLACES[0]);
    let mut schema = json!({
        "type": "object",
        "properties": { member: { "type": "array", "items": { "$ref": reference } } },
        "required": [member],
    });
    complete(&mut schema, &document());
    object(schema)
}

/// An object of texts.
pub(super) fn object_with(members: &[&str]) -> JsonObject {
    let properties: JsonObject =
        members.iter().map(|member| ((*member).to_owned(), json!({ "type": "string" }))).collect();
    object(json!({ "type": "object", "properties": properties, "required": members }))
}

/// The schema of a type that refers to no other.
pub(super) fn inline<T: PartialSchema>() -> JsonObject {
    let mut schema = object(serde_json::to_value(T::schema()).unwrap_or_default());
    schema.entry("type").or_insert_with(|| json!("object"));
    schema
}

/// Puts all types that a schema refers to into it.
fn complete(schema: &mut Value, document: &Value) {
    let mut wanted = Vec::new();
    move_references(schema, PLACES, &mut wanted);
    let mut definitions = JsonObject::new();
    while let Some(name) = wanted.pop() {
        if definitions.contains_key(&name) {
            continue;
        }
        let mut definition = document["components"]["schemas"][&name].clone();
        move_references(&mut definition, PLACES, &mut wanted);
        definitions.insert(name, definition);
    }
    if !definitions.is_empty() {
        schema["$defs"] = Value::Object(definitions);
    }
}

fn object(schema: Value) -> JsonObject {
    match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    }
}
