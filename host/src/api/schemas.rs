//! Schemas of types that are not this API's own: those of `--format json`, which are described where they are made.
//!
//! Called by the types of requests and answers, and when the document is put together.
use serde_json::{Map, Value, json};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use wharf_model::EffectiveState;

/// The schemas that are referred to here.
pub(crate) fn shared() -> Map<String, Value> {
    let object = |description: &str| json!({ "type": "object", "description": description });
    let states = EffectiveState::ALL.map(EffectiveState::as_str);
    Map::from_iter([
        ("Advice".to_owned(), object("One step that gets somebody on; the member `do` says which.")),
        ("Error".to_owned(), object("A failure of a command: kind, message, advice.")),
        ("WorkloadView".to_owned(), object("A row of the list.")),
        ("StatusReport".to_owned(), object("One workload in depth.")),
        ("RunConfig".to_owned(), object("What a workload is, as it is on record.")),
        ("EffectiveState".to_owned(), json!({ "type": "string", "enum": states })),
    ])
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

    /// When an image is fetched.
    pub(crate) fn pull() -> RefOr<Schema> {
        one_of(&["always", "missing", "never"])
    }

    /// When a workload is started again.
    pub(crate) fn restart() -> RefOr<Schema> {
        one_of(&["no", "on-failure", "always", "unless-stopped"])
    }
}
