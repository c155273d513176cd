//! Events as Server-Sent Events: of all workloads, and of one.
use crate::api::answers::workload_name;
use crate::api::body::Part;
use crate::api::feed::{Happened, Listener, Next};
use crate::api::problem::Problem;
use crate::api::schemas::{Refer, each_object};
use crate::api::state::Api;
use crate::commands::WorkloadView;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa::openapi::{ComponentsBuilder, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The event that tells everything.
const RESET: &str = "reset";
/// The type of a stream of events.
const EVENTS: &str = "text/event-stream";

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    let data = ComponentsBuilder::new()
        .schema_from::<Happened>()
        .schema_from::<WorkloadEvent<'static>>()
        .schema_from::<ResetEvent<'static>>();
    let described = OpenApiBuilder::new().components(Some(data.build())).build();
    OpenApiRouter::with_openapi(described).routes(routes!(all)).routes(routes!(one))
}

/// The data of `created`, `changed` and `removed`.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkloadEvent<'a> {
    /// The kind of event.
    happened: Happened,
    /// The workload; of one that was removed, as it was last.
    #[schema(schema_with = Refer::workload)]
    workload: &'a WorkloadView,
}

/// The data of `reset`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResetEvent<'a> {
    /// All workloads as they are now; of the stream of one workload that one, if it is there.
    #[schema(schema_with = Refer::workloads)]
    workloads: Vec<&'a WorkloadView>,
}

/// Adds to the answers that are streams which data each event has. OpenAPI 3.1 has no word of its own for that.
pub(crate) fn tell_data(document: &mut Value) {
    let to = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let mut data = Map::new();
    data.extend(Happened::ALL.map(|happened| (happened.as_str().to_owned(), to("WorkloadEvent"))));
    data.insert(RESET.to_owned(), to("ResetEvent"));
    each_object(document, &mut |members| {
        if let Some(Value::Object(stream)) = members.get_mut(EVENTS) {
            stream.insert("x-event-data".to_owned(), Value::Object(data.clone()));
        }
    });
}

fn rendered(next: &Next) -> Event {
    let (name, data, id) = match next {
        Next::Event(event, id) => {
            let (happened, workload) = (event.happened, &*event.workload);
            (happened.as_str(), serde_json::to_string(&WorkloadEvent { happened, workload }), id)
        }
        Next::Reset(rows, id) => {
            let workloads = rows.iter().map(|row| &**row).collect();
            (RESET, serde_json::to_string(&ResetEvent { workloads }), id)
        }
    };
    // Text and numbers alone, which can always be written; in one line.
    Event::default().event(name).id(id).data(data.unwrap_or_default())
}

fn events(listener: Listener) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let told = stream::unfold(listener, |mut listener| async move {
        let next = listener.next().await?;
        Some((Ok(rendered(&next)), listener))
    });
    Sse::new(told).keep_alive(KeepAlive::default())
}

fn last_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").and_then(|id| id.to_str().ok())
}

/// Changes of the workloads, as they happen
///
/// Server-Sent Events `created`, `changed` and `removed`, whose `data` is a WorkloadEvent, and `reset` with all workloads, whose
/// `data` is a ResetEvent: first, and wherever it is not known what was missed. `Last-Event-ID` goes on after that event.
#[utoipa::path(get, path = "/api/v1beta/events", operation_id = "watchWorkloads", tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "Go on after this event")),
    responses(
        (status = 200, description = "The events", body = String, content_type = "text/event-stream"),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn all(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    Ok(events(api.feed.listen(last_id(&headers), None)?))
}

/// The same of one workload, whether it is there or will be
#[utoipa::path(get, path = "/api/v1beta/workloads/{name}/events", operation_id = "watchWorkload", tag = "events",
    params(
        ("name" = String, Path, description = "Its name"),
        ("Last-Event-ID" = Option<String>, Header, description = "Go on after this event")
    ),
    responses(
        (status = 200, description = "The events", body = String, content_type = "text/event-stream"),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn one(
    State(api): State<Arc<Api>>,
    Part(name): Part,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let name = workload_name(&name)?.to_string();
    Ok(events(api.feed.listen(last_id(&headers), Some(name))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::app::document;

    /// The members of an object of JSON.
    fn members(object: &Value) -> Vec<&str> {
        object.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn the_document_tells_the_data_of_each_event_as_it_is_sent() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        let view = WorkloadView::unreadable("x", String::new());
        let event = json!(WorkloadEvent { happened: Happened::Created, workload: &view });
        let reset = json!(ResetEvent { workloads: vec![&view] });
        for (name, sent) in [("WorkloadEvent", event), ("ResetEvent", reset)] {
            assert_eq!(members(&schemas[name]["properties"]), members(&sent), "{name}");
            assert_eq!(schemas[name]["required"], json!(members(&sent)), "{name}");
        }
        assert_eq!(schemas["Happened"]["enum"], json!(Happened::ALL.map(Happened::as_str)));
        let row = "#/components/schemas/WorkloadView";
        assert_eq!(schemas["WorkloadEvent"]["properties"]["workload"]["$ref"], row);
        assert_eq!(schemas["ResetEvent"]["properties"]["workloads"]["items"]["$ref"], row);
        for path in ["/api/v1beta/events", "/api/v1beta/workloads/{name}/events"] {
            let answer = &document["paths"][path]["get"]["responses"]["200"];
            let data = &answer["content"][EVENTS]["x-event-data"];
            assert_eq!(data["reset"]["$ref"], "#/components/schemas/ResetEvent", "{path}");
            for happened in Happened::ALL {
                let told = &data[happened.as_str()]["$ref"];
                assert_eq!(told, "#/components/schemas/WorkloadEvent", "{path}");
            }
        }
    }
}
