//! The router: all groups of routes behind the gate, and the document that describes them.
use crate::api::events::tell_data;
use crate::api::gate::{Way, pass};
use crate::api::http_thread::by_workers;
use crate::api::measure::measure;
use crate::api::plain::make_plain;
use crate::api::problem::{Problem, Refusal};
use crate::api::schemas::shared;
use crate::api::state::Api;
use crate::api::{edit, events, groups, health, lifecycle, logs, operation_routes, runtimes, workloads};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::runtime::Handle;
use utoipa::openapi::{InfoBuilder, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;

/// Where the document is: ToolHive's place for it.
const DOCUMENT: &str = "/api/openapi.json";

fn routes() -> OpenApiRouter<Arc<Api>> {
    let info = InfoBuilder::new()
        .title("wharf")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Runs MCP servers and other workloads on whatever is at hand."));
    OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info.build()).build())
        .merge(health::routes())
        .merge(workloads::routes())
        .merge(edit::routes())
        .merge(lifecycle::routes())
        .merge(logs::routes())
        .merge(events::routes())
        .merge(groups::routes())
        .merge(operation_routes::routes())
        .merge(runtimes::routes())
}

/// OpenAPI 3.1: the routes as they are served, with the types of `--format json` as they are described there, in forms that
/// generators of clients read.
pub(crate) fn document() -> Value {
    let (_, document) = routes().split_for_parts();
    // A tree of text and numbers, which can always be written.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.extend(shared());
    }
    make_plain(&mut document);
    tell_data(&mut document);
    document["components"]["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" } });
    // The Unix socket asks for none.
    document["security"] = json!([{ "token": [] }, {}]);
    document
}

/// All routes, for requests that come by this way. Called within the Tokio runtime whose workers answer.
pub(crate) fn router(api: &Arc<Api>, way: Way) -> Router {
    let (router, _) = routes().split_for_parts();
    let document = document().to_string();
    let document = get(move || async move { ([(CONTENT_TYPE, "application/json")], document) });
    router
        .route(DOCUMENT, document)
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(Handle::current(), by_workers))
        .layer(from_fn_with_state(Arc::new(way), pass))
        .layer(from_fn_with_state(api.metrics.clone(), measure))
        .with_state(api.clone())
}

async fn no_route() -> Problem {
    Refusal::NoRoute.because(format!("what there is stands in {DOCUMENT}"))
}

async fn no_method() -> Problem {
    Refusal::Method.because(format!("what there is stands in {DOCUMENT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All references of a document.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    found.push(reference.clone());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn references_and_operations_of_the_openapi_document_are_complete() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        let mut ids = std::collections::BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path} is not described");
                let id = operation["operationId"].as_str().unwrap().to_owned();
                assert!(ids.insert(id), "{method} {path} has the name of another one");
                assert!(operation["responses"]["default"].is_object(), "{method} {path} may fail, too");
            }
        }
    }
}
