//! Schemas of types that are not this API's own: those of `--format json`, which are described where they are made.
//!
//! Called by the types of requests and answers, and when the document is put together.
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};

/// The schemas of `docs/json.md`. A test makes them of the types themselves and keeps the file in step with them, so the
/// binary needs no code that makes schemas.
const JSON_FORMS: &str = include_str!("../../../docs/json.schema.json");
/// Where the file has its types, and where this document has them.
const PLACES: [&str; 2] = ["#/$defs/", "#/components/schemas/"];
/// The types that are referred to here, and by the tools of the MCP server.
const REFERRED: [&str; 8] = [
    "Advice",
    "ContainerOptions",
    "EffectiveState",
    "Error",
    "RunConfig",
    "Started",
    "StatusReport",
    "WorkloadView",
];

/// The schemas that are referred to here, with all that they refer to.
pub(crate) fn shared() -> Map<String, Value> {
    let mut forms: Value = serde_json::from_str(JSON_FORMS).unwrap_or_default();
    let mut all = match forms["$defs"].take() {
        Value::Object(all) => all,
        _ => Map::new(),
    };
    let mut wanted: Vec<String> = REFERRED.map(str::to_owned).to_vec();
    let mut shared = Map::new();
    while let Some(name) = wanted.pop() {
        let Some(mut schema) = all.remove(&name) else { continue };
        move_references(&mut schema, PLACES, &mut wanted);
        shared.insert(name, schema);
    }
    shared
}

/// Lets references that lead to the first of two places lead to the second, and notes the types that they name.
pub(crate) fn move_references(schema: &mut Value, places: [&str; 2], named: &mut Vec<String>) {
    each_object(schema, &mut |members| {
        if let Some(Value::String(reference)) = members.get_mut("$ref")
            && let Some(name) = reference.strip_prefix(places[0]).map(str::to_owned)
        {
            *reference = format!("{}{name}", places[1]);
            named.push(name);
        }
    });
}

/// Calls `change` with each object of a document, the outer ones first.
pub(crate) fn each_object(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            change(members);
            members.values_mut().for_each(|value| each_object(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| each_object(value, change)),
        _ => {}
    }
}

/// References to what other packages describe.
pub(crate) struct Refer;

fn to(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

fn one_of(values: &[&'static str]) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values.to_vec()));
    RefOr::T(object.build().into())
}

impl Refer {
    /// Steps that get somebody on.
    pub(crate) fn advice() -> RefOr<Schema> {
        RefOr::T(ArrayBuilder::new().items(to("Advice")).build().into())
    }

    /// An error of a command.
    pub(crate) fn error() -> RefOr<Schema> {
        to("Error")
    }

    /// A row of the list.
    pub(crate) fn workload() -> RefOr<Schema> {
        to("WorkloadView")
    }

    /// Rows of the list.
    pub(crate) fn workloads() -> RefOr<Schema> {
        RefOr::T(ArrayBuilder::new().items(to("WorkloadView")).build().into())
    }

    /// The effective state.
    pub(crate) fn state() -> RefOr<Schema> {
        to("EffectiveState")
    }

    /// One workload in depth.
    pub(crate) fn report() -> RefOr<Schema> {
        to("StatusReport")
    }

    /// How a server is spoken to.
    pub(crate) fn transport() -> RefOr<Schema> {
        one_of(&["stdio", "streamable-http"])
    }

    /// How many servers a workload has.
    pub(crate) fn instances() -> RefOr<Schema> {
        one_of(&["shared", "per-session"])
    }

    /// How a proxy is spoken to.
    pub(crate) fn proxy_mode() -> RefOr<Schema> {
        one_of(&["streamable-http"])
    }

    /// Whom a proxy serves.
    pub(crate) fn auth() -> RefOr<Schema> {
        one_of(&["none", "path", "bearer"])
    }

    /// Options that only containers have.
    pub(crate) fn container() -> RefOr<Schema> {
        to("ContainerOptions")
    }

    /// When an image is fetched.
    pub(crate) fn pull() -> RefOr<Schema> {
        one_of(&["always", "missing", "never"])
    }

    /// When a workload is started again.
    pub(crate) fn restart() -> RefOr<Schema> {
        one_of(&["no", "on-failure", "always", "unless-stopped"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::EffectiveState;

    #[test]
    fn the_types_are_those_of_the_documented_json() {
        let shared = shared();
        for name in REFERRED {
            assert!(shared.get(name).is_some_and(Value::is_object), "{name}");
        }
        let told = &shared["EffectiveState"].to_string();
        for state in EffectiveState::ALL {
            assert!(told.contains(&format!("\"{}\"", state.as_str())), "{}", state.as_str());
        }
        assert!(!Value::Object(shared).to_string().contains(PLACES[0]));
    }
}
