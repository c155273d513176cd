//! Logs: of a workload, also followed, and of its supervisor.
use crate::api::answers::workload_name;
use crate::api::body::{Asked, Part};
use crate::api::problem::Problem;
use crate::api::state::Api;
use crate::commands::{self, AfterLog, LogReader, ReadLog};
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::io::ReaderStream;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wharf_model::{Error, ErrorKind, WorkloadName};
use wharf_sdk::LogOptions;

/// As many lines as ToolHive shows where nothing is said.
const DEFAULT_LINES: u64 = 1000;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(logs)).routes(routes!(proxy_logs))
}

/// Which lines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogQuery {
    /// The last so many; 1000 where nothing is said.
    tail: Option<u64>,
    /// Those since then, in RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Go on with what is written from now on, also after restarts, until nobody is left who would bring the workload back.
    follow: Option<bool>,
    /// With the time before each line.
    timestamps: Option<bool>,
}

/// Which lines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TailQuery {
    /// The last so many; 1000 where nothing is said.
    tail: Option<u64>,
}

/// A client that guesses types must take a server's output for nothing but text.
fn text(body: Body) -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, body).into_response()
}

/// The log of a workload
#[utoipa::path(get, path = "/api/v1beta/workloads/{name}/logs", operation_id = "getWorkloadLog", tag = "logs",
    params(("name" = String, Path, description = "Its name"), LogQuery),
    responses(
        (status = 200, description = "The lines", body = String, content_type = "text/plain"),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn logs(
    State(api): State<Arc<Api>>,
    Part(name): Part,
    Asked(query): Asked<LogQuery>,
) -> Result<Response, Problem> {
    let since_ms = query.since.map(|since| u64::try_from(since.as_millisecond()).unwrap_or(0));
    let tail = Some(query.tail.unwrap_or(DEFAULT_LINES));
    let options = LogOptions {
        follow: query.follow.unwrap_or(false),
        tail,
        since_ms,
        timestamps: query.timestamps.unwrap_or(false),
    };
    let name = workload_name(&name)?;
    let reader = commands::logs(&api.context()?, &name, options).await?;
    let ending = api.ending.clone().cancelled_owned();
    if !options.follow {
        return Ok(text(Body::from_stream(ReaderStream::new(reader).take_until(ending))));
    }
    Ok(text(Body::from_stream(followed(api, name, reader, options.timestamps).take_until(ending))))
}

/// What a workload writes from now on, also after restarts: until nobody is left who would bring it back. An error breaks the
/// answer off, so that its end is not taken for that of the log.
fn followed(
    api: Arc<Api>,
    name: WorkloadName,
    reader: LogReader,
    timestamps: bool,
) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(Some((ReaderStream::new(reader), ReadLog::now())), move |at| {
        let (api, name) = (api.clone(), name.clone());
        async move {
            let (mut log, mut read) = at?;
            loop {
                if let Some(piece) = log.next().await {
                    let goes_on = piece.is_ok();
                    read.heard = Timestamp::now();
                    return Some((piece, goes_on.then_some((log, read))));
                }
                match after(&api, &name, read, timestamps).await {
                    Ok(AfterLog::More(reader)) => (log, read) = (ReaderStream::new(reader), ReadLog::now()),
                    Ok(AfterLog::Over(why)) => {
                        tracing::debug!(%name, why, "a log that was followed ends");
                        return None;
                    }
                    Err(error) => return Some((Err(io::Error::other(error)), None)),
                }
            }
        }
    })
}

async fn after(api: &Api, name: &WorkloadName, read: ReadLog, timestamps: bool) -> Result<AfterLog, Error> {
    commands::follow_on(&api.context()?, name, read, timestamps).await
}

/// The log of its supervisor and proxy
#[utoipa::path(get, path = "/api/v1beta/workloads/{name}/proxy-logs", operation_id = "getProxyLog", tag = "logs",
    params(("name" = String, Path, description = "Its name"), TailQuery),
    responses(
        (status = 200, description = "The lines", body = String, content_type = "text/plain"),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn proxy_logs(
    State(api): State<Arc<Api>>,
    Part(name): Part,
    Asked(query): Asked<TailQuery>,
) -> Result<Response, Problem> {
    let path = commands::proxy_log(&api.context()?, &workload_name(&name)?)?;
    let lines = usize::try_from(query.tail.unwrap_or(DEFAULT_LINES)).unwrap_or(usize::MAX);
    let read = tokio::task::spawn_blocking(move || last_lines(path, lines)).await;
    let broken = |error: &(dyn std::error::Error + 'static)| {
        Error::caused(ErrorKind::Failed, "the log cannot be read", error)
    };
    let lines = read.map_err(|error| broken(&error))?.map_err(|error| broken(&error))?;
    Ok(text(Body::from(lines)))
}

/// The last lines of a file whose size is bounded by its rotation.
fn last_lines(path: PathBuf, lines: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = std::fs::read(path)?;
    let ends = bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    // The last one ends the last line; that before the first line wanted is where it begins.
    let is_ended = usize::from(bytes.last() == Some(&b'\n'));
    let begin = match lines {
        0 => bytes.len(),
        lines => ends.skip(is_ended).nth(lines - 1).map_or(0, |at| at + 1),
    };
    Ok(bytes.split_off(begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_last_lines_are_whole_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.proxy.log");
        let of = |text: &str, lines| {
            std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
            String::from_utf8(last_lines(path.clone(), lines).unwrap()).unwrap()
        };
        assert_eq!(of("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(of("a\nb\nc", 2), "b\nc");
        assert_eq!(of("a\n", 9), "a\n");
        assert_eq!(of("a\n", 0), "");
        assert_eq!(of("", 3), "");
    }
}
