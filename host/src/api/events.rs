//! Events as Server-Sent Events: of all workloads, and of one.
use crate::api::answers::workload_name;
use crate::api::body::Part;
use crate::api::feed::{Happened, Listener, Next};
use crate::api::problem::Problem;
use crate::api::state::Api;
use crate::commands::WorkloadView;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(one))
}

/// The data of `created`, `changed` and `removed`.
#[derive(Serialize)]
pub(crate) struct WorkloadEvent<'a> {
    /// The kind of event.
    happened: Happened,
    /// The workload; of one that was removed, as it was last.
    workload: &'a WorkloadView,
}

/// The data of `reset`.
#[derive(Serialize)]
pub(crate) struct ResetEvent<'a> {
    /// All workloads as they are now.
    workloads: Vec<&'a WorkloadView>,
}

fn rendered(next: &Next) -> Event {
    let (name, data, id) = match next {
        Next::Event(event, id) => {
            let (happened, workload) = (event.happened, &*event.workload);
            (happened.as_str(), serde_json::to_string(&WorkloadEvent { happened, workload }), id)
        }
        Next::Reset(rows, id) => {
            let workloads = rows.iter().map(|row| &**row).collect();
            ("reset", serde_json::to_string(&ResetEvent { workloads }), id)
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
/// Server-Sent Events `created`, `changed` and `removed`, and `reset` with all workloads: first, and wherever it is not known
/// what was missed. `Last-Event-ID` goes on after that event.
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
